"""Models on disk: the diffusers folder layout, read and written."""
