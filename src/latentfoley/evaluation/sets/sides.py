"""What a user names → the two sets that are compared; a model generates its side first."""

from pathlib import Path

from latentfoley.checkpoints.registry import PUBLISHED
from latentfoley.checkpoints.tensors import PICKLES
from latentfoley.errors import InputError
from latentfoley.evaluation.sets.clips import ClipSet, as_set
from latentfoley.evaluation.sets.datasets import read_dataset
from latentfoley.evaluation.sets.prompts import Caption, captions_of, read_captions


def reference_side(path: Path, dataset: str | None, split: str | None) -> ClipSet:
    """Return the real sounds: a split of a data set, or a folder or manifest.

    Raises:
        InputError: as `read_dataset` and `as_set`, or a split of no data set.
    """
    if dataset is not None:
        return read_dataset(path, dataset, split)
    if split is not None:
        raise InputError(f"--split {split} is of a data set; name it with --dataset")
    return as_set(path)


def is_model(name: str, *, asked_for: bool) -> bool:
    """Return whether the generated side is a model that is to make it.

    Args:
        name: what the user gave.
        asked_for: whether captions or a data set were given, so that what is no place here may be
            a model on the hub.
    """
    path = Path(name).expanduser()
    if name in ("tiny", *PUBLISHED) and not path.exists():
        return True
    if path.is_dir():
        return (path / "model_index.json").is_file()
    return path.suffix in PICKLES if path.exists() else asked_for


def wanted_captions(captions: Path | None, reference: ClipSet) -> list[Caption]:
    """Return what a model is asked for: the captions of a file, else those of the reference.

    Raises:
        InputError: as `read_captions`, or a reference without captions.
    """
    if captions is not None:
        return read_captions(captions)
    return captions_of(reference.source, reference.clips)
