"""Recordings to train on, from any folder to what a model sees of them.

`scan` says what a folder holds, `prepare` packs it into `shards`, `encode` keeps what a model makes
of those in `latents`. Training reads recordings by a list (`metadata`, `recordings`) and varies
them (`augment`).
"""
