"""Reads files of other tools into a store."""
