"""Parts of tools/compile_pod.py."""
