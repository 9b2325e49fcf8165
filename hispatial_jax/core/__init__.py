"""Foundations that know nothing of HiSpatial and import nothing of ours."""
