"""Checkpoint formats in and out, one two-way rename table a source."""
