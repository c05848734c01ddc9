"""Plans runs, hands their cases to workers, and appends what these give to the store."""
