"""A small cache of latents, made the way a user makes one."""

import shutil

from latentfoley.data import encode as encoding
from latentfoley.data.encoder import Source
from latentfoley.data.prepare import prepare
from latentfoley.data.variations import Augmentation

WINDOW_S = 0.32  # latents of 4 x 8 x 16


def encode(shards, out, *, variations=1, mixes=0.0, batch_size=16, workers=1, **source):
    """Encode a data set with the options of the command, by their Python names."""
    augmentation = Augmentation.parse(
        {"variations": variations, "mixes": mixes}, where="data encode"
    )
    options = {"batch_size": batch_size, "workers": workers}
    return encoding.encode(shards, out, Source(**source), augmentation, **options)


def encode_folder(folder, out, model, **options):
    """Prepare and encode a folder of recordings; return where the latents are."""
    shutil.rmtree(out, ignore_errors=True)
    prepare(folder, out / "prepared", workers=1, held_out=0.0)
    options = {"duration_s": WINDOW_S, "device": "cpu"} | options
    encode(out / "prepared", out / "latents", model=str(model), **options)
    return out / "latents"
