"""What tools/parity.py compares: a module for each kind of folder."""
