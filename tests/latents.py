"""A small cache of latents, made the way a user makes one."""

import shutil

from latentfoley.data.encode import encode
from latentfoley.data.prepare import prepare

WINDOW_S = 0.32  # latents of 4 x 8 x 16


def encode_folder(folder, out, model, **options):
    """Prepare and encode a folder of recordings; return where the latents are."""
    shutil.rmtree(out, ignore_errors=True)
    prepare(folder, out / "prepared", workers=1, held_out=0.0)
    options = {"duration_s": WINDOW_S, "device": "cpu"} | options
    encode(out / "prepared", out / "latents", model=str(model), **options)
    return out / "latents"
