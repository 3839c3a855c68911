"""A grid of settings and models, the same prompts in every cell, and tests of what differs."""
