"""The kinds of sound that a model knows, as `known_kinds.safetensors` in its folder.

One file beside the parts: vectors as tensors, names and threshold in the header. It decides no
sample, so it is no part of the hash of weights or settings.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from latentfoley.errors import ModelError
from latentfoley.known import KnownKinds

FILE = "known_kinds.safetensors"


def write_known_kinds(folder: Path, known: KnownKinds) -> None:
    """Write the list, its vectors in 8 bits an element: cosines move by less than 0.005."""
    header = {"kinds": json.dumps(known.kinds), "threshold": str(known.threshold)}
    largest = known.signatures.abs().amax(dim=1, keepdim=True)
    rounded = (127 * known.signatures / largest).round().to(torch.int8)
    save_file({"signatures": rounded}, folder / FILE, metadata=header)
    (folder / FILE).chmod(0o644)  # safetensors writes for the owner alone


def read_known_kinds(folder: Path) -> KnownKinds | None:
    """Return the list; None for a folder without one, as the published ones are.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header, signatures = file.metadata(), file.get_tensor("signatures")
        kinds, threshold = tuple(json.loads(header["kinds"])), float(header["threshold"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged or no list of kinds ({error})") from None
    if len(kinds) != len(signatures):
        raise ModelError(f"{path} names {len(kinds)} kinds for {len(signatures)} vectors")
    return KnownKinds(kinds, F.normalize(signatures.to(torch.float32), dim=1), threshold)
