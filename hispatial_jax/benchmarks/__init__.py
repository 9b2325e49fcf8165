"""Examples, prompts, parsers and scores, one benchmark a file."""
