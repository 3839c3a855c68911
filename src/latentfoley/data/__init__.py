"""Recordings to train on: what there is (`manifest`), in memory (`recordings`), varied (`augment`)."""
