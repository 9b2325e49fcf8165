"""Measurements inside and outside of the training loop."""
