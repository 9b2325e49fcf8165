"""Parts of tools/bench_*.py."""
