"""The recorded answers of a case, and which of them answers a call."""
