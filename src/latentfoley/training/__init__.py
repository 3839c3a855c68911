"""Training of every part: one loop, one file per thing that is trained."""
