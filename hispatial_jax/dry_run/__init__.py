"""What a recipe's programs need, told by their compiler; nothing is run.

    found = figures.of("train", cfg, grid)
    print(report.table(found))

programs.py lowers the program that is really run, from shapes alone; memory.py
and work.py read what the compiler made of it; search.py tries many recipes.
`python -m hispatial_jax.train --dry_run` does it for the devices at hand,
tools/compile_pod.py for TPUs that are not there (topology.py).
"""
