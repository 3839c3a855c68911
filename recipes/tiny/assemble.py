"""Put trained stages into a model: `python recipes/tiny/assemble.py STAGES OUT`.

STAGES holds any of `unet/`, `vae/`, `vocoder/` and CLAP's `audio_encoder/`, as trainings leave
them; all else is `tiny`'s. How many iterations of Griffin-Lim come after that vocoder,
`--phase-iterations` says.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from latentfoley.checkpoints import layout, towers
from latentfoley.checkpoints.parts import Parts, open_folder, write_folder
from latentfoley.loading import find_folder


def assemble(stages: Path, phase_iterations: int) -> Parts:
    """Return `tiny` with the stages that there are."""
    parts = open_folder(find_folder("tiny"))
    if (stages / "unet").is_dir():
        parts = replace(parts, unet=layout.open_unet(stages / "unet"))
    if (stages / "vae").is_dir():
        parts = replace(parts, vae=layout.open_vae(stages / "vae"))
    if (stages / "audio_encoder").is_dir():
        parts = replace(
            parts,
            text=towers.open_text(stages),
            audio=towers.open_audio(stages),
            front_end=layout.read_front_end(stages / "feature_extractor"),
            find_tokenizer=lambda: stages / "tokenizer",
        )
    if (stages / "vocoder").is_dir():
        about = parts.about.model_copy(update={"phase_iterations": phase_iterations})
        parts = replace(parts, vocoder=layout.open_vocoder(stages / "vocoder"), about=about)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phase-iterations", type=int, default=0)
    arguments = parser.parse_args()
    size = write_folder(assemble(arguments.stages, arguments.phase_iterations), arguments.out)
    print(f"{arguments.out}  {size / 1e6:.1f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
