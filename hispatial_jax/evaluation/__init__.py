"""A benchmark asked of a model, journaled, scored."""
