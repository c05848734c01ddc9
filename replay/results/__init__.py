"""What runs found: reads it back from the store, as values."""
