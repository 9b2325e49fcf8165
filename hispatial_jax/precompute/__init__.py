"""Records of many pictures, worked out once: with a model's points, or without.

    from hispatial_jax.precompute import plan, run

plan.py says what is to be done, work.py does a shard of it, store.py keeps it;
beam.py and devices.py are the two ways to spread the work. run.py joins them;
tools/build_records.py and tools/precompute_points.py call it.
"""
