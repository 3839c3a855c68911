"""Put trained stages into a model: `python recipes/tiny/assemble.py MODEL OUT STAGES …`.

STAGES are folders that hold any of `unet/`, `vae/`, `vocoder/` and CLAP's `audio_encoder/`, with
what belongs to it, as trainings leave them; all else is the model's. A `text_encoder/` may hold
only what was trained of it.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from latentfoley.checkpoints import layout, towers
from latentfoley.checkpoints.parts import Parts, open_folder, write_folder
from latentfoley.loading import find_folder


def with_stage(parts: Parts, stage: Path) -> Parts:
    """Return a model with the parts that a folder holds."""
    if (stage / "unet").is_dir():
        parts = replace(parts, unet=layout.open_unet(stage / "unet"))
    if (stage / "vae").is_dir():
        parts = replace(parts, vae=layout.open_vae(stage / "vae"))
    if (stage / "vocoder").is_dir():
        parts = replace(parts, vocoder=layout.open_vocoder(stage / "vocoder"))
    if (stage / "audio_encoder").is_dir():
        text = towers.open_text(stage)
        parts = replace(
            parts,
            text=replace(text, weights={**parts.text.weights, **text.weights}),
            audio=towers.open_audio(stage),
            front_end=layout.read_front_end(stage / "feature_extractor"),
        )
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("stages", type=Path, nargs="+")
    arguments = parser.parse_args()
    parts = open_folder(find_folder(arguments.model))
    for stage in arguments.stages:
        parts = with_stage(parts, stage)
    size = write_folder(parts, arguments.out)
    print(f"{arguments.out}  {size / 1e6:.1f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
