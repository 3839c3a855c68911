"""More sounds than one machine makes: a manifest of requests → sounds and results, by Ray.

    manifest.py   a table → rows
    row.py        one row → a sound, or why there is none
    chunk.py      some rows → their sounds and results in a place; what is there is not made again
    batch.py      a manifest → chunks → actors of Ray, each with a model

Only `batch.py` knows about Ray, which `on_ray.py` joins or starts.
"""
