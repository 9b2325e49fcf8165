"""Where published figures were read; they stand beside ours, not for them."""

PAPER = "HiSpatial paper (CVPR 2026), main tables"
