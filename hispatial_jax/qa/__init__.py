"""The data engine: annotations and a seed in, hierarchical QA out."""
