"""Preprocessing ops on one example, in plain numpy."""
