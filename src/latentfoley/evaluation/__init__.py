"""Scores of generated sounds, each with its n, its interval and what to beware of."""
