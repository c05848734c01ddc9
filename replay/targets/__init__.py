"""What a run runs: finds agents and adapters, and says what they are."""
