"""Recordings to train on: listed (`manifest`), in memory (`recordings`), varied (`augment`)."""
