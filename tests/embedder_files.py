"""Weight files in the layout in which they are published, small on disk."""

import zipfile

import torch

from latentfoley.evaluation.embedders.vggish import Vggish


def vggish_file(path, rename=(b"", b""), **extra):
    """Write VGGish as {"model": …} with whatever else; every tensor is one stored number.

    `rename` exchanges a module's name in the pickle, as an older numpy would have written it.
    """
    with torch.device("meta"):
        shapes = {name: x.shape for name, x in Vggish().state_dict().items()}
    tensors = {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    torch.save({"model": tensors} | extra, path)
    if rename[0]:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: archive.read(info) for info in archive.infolist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, data in entries.items():
                archive.writestr(name, data.replace(*rename) if name.endswith(".pkl") else data)
    return path
