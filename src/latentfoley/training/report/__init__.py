"""A training run as one HTML page: what it was, how it went, how it sounds, and what is wrong.

`run` reads what the run left, `series` and `judgement` hold what diagnoses are made of, `losses`,
`reconstruction`, `alignment`, `copies` and `levels` each look for some failures, `diagnosis` asks
them all, `curves` draws, `page` puts it together.
"""
