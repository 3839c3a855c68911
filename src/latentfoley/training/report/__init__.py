"""A training run as one HTML page: its settings, its course, its sounds, and what is wrong with it.

`run` reads the folder of a run. `losses` diagnoses the course of the log, `sounds` what the run has
generated, by the metrics of `latentfoley.evaluation`; both return `findings`. `curves` draws, and
`page` puts everything together.
"""
