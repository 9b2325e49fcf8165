"""Point maps of many pictures, worked out once and kept as records.

    from hispatial_jax.precompute import plan, run

plan.py says what is to be done, work.py does a shard of it, store.py keeps it;
beam.py and devices.py are the two ways to spread the work. run.py joins them
and is what tools/precompute_points.py calls.
"""
