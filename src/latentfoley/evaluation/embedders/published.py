"""Published weights of embedders: where they lie, what they must be, on which terms, and how they
become state dictionaries without running what is in them.

Nothing here happens by itself: `fetch` is what `latentfoley evaluate --download` calls.

Sources of the hashes. PANNs: the MD5 that Zenodo publishes in record 3987831 (541141fa… and
362fc5ff…), and the SHA-256 that several independent projects state for files which had that MD5.
VGGish: its file is named, as torch.hub does, after the first eight digits of its SHA-256; the rest
is stated by several independent projects. CLAP: a commit of its repository on the Hugging Face hub,
which names large files by their SHA-256.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor, nn

from latentfoley.checkpoints.hub import fetch as fetch_hub
from latentfoley.checkpoints.hub import local_folder
from latentfoley.checkpoints.tensors import hash_file
from latentfoley.errors import InputError, ModelError, nearest_files
from latentfoley.evaluation.embedders.download import download
from latentfoley.files import cache_folder
from latentfoley.progress import Progress

_ZENODO = "https://zenodo.org/records/3987831/files"
_VGGISH = "https://github.com/harritaylor/torchvggish/releases/download/v0.1"
# Files of a CLAP, one of each: an interrupted download has fewer.
_NEEDED = (
    ("config.json",),
    ("preprocessor_config.json",),
    ("model.safetensors", "pytorch_model.bin"),
    ("tokenizer.json", "vocab.json", "vocab.txt"),
)
_PATTERNS = ("*.json", "*.txt", "model.safetensors", "pytorch_model.bin")

CLAP_REVISIONS = {"laion/clap-htsat-unfused": "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a"}


@dataclass(frozen=True)
class Weights:
    """One published weight file."""

    file: str
    url: str
    sha256: str
    megabytes: int
    licence: str


WEIGHTS = {
    "cnn14-16k": Weights(
        "Cnn14_16k_mAP=0.438.pth",
        f"{_ZENODO}/Cnn14_16k_mAP%3D0.438.pth?download=1",
        "e2ee543a27919542c2ea03eabaa70b24dcd4e6c8e05621de6b67a94e4c5058e6",
        359,
        "CC BY 4.0",
    ),
    "cnn14-32k": Weights(
        "Cnn14_mAP=0.431.pth",
        f"{_ZENODO}/Cnn14_mAP%3D0.431.pth?download=1",
        "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
        327,
        "CC BY 4.0",
    ),
    "vggish": Weights(
        "vggish-10086976.pth",
        f"{_VGGISH}/vggish-10086976.pth",
        "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
        289,
        "Apache-2.0",
    ),
}


# The published file of CNN14 at 16 kHz also holds the state of its sampler, an array of integers.
# These names rebuild arrays and run nothing; older files call the module without the underscore.
_ARRAYS: list[Any] = [
    multiarray._reconstruct,
    (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    np.dtypes.Int64DType,
]


def weights_folder() -> Path:
    """Return where downloaded weights lie: `$XDG_CACHE_HOME/latentfoley/weights`."""
    return cache_folder("weights")


def find(name: str, given: str) -> Path | None:
    """Return the path that the weights of an embedder are read from; asks no network.

    Args:
        name: of the embedder.
        given: what stood behind "NAME="; "" for nothing.

    Raises:
        InputError: weights that are needed, were not given, and were not downloaded.
    """
    if not given and name in WEIGHTS:
        return _downloaded(name)
    if name == "clap" and _is_hub_id(given):
        folder = local_folder(given, CLAP_REVISIONS.get(given))
        if folder is None:
            raise InputError(
                f"'{given}' is no folder here; as a hub id it is fetched with --download, and only "
                "then"
            )
        if not _is_whole(folder):
            raise InputError(
                f"'{given}' is here in part, in {folder}; --download fetches what is missing"
            )
        return folder
    return Path(given).expanduser() if given else None


def fetch(spec: str, say: Callable[[str], None], progress: Progress | None = None) -> None:
    """Download the weights of "NAME" or "clap=OWNER/NAME" unless they are here.

    Args:
        spec: as for `find_embedder`.
        say: is told what is fetched from where, and on which terms.
        progress: of the bytes of a file.

    Raises:
        ModelError: they cannot be fetched, or are not the published ones.
    """
    name, _, given = spec.partition("=")
    if not given and name in WEIGHTS:
        weights, path = WEIGHTS[name], weights_folder() / WEIGHTS[name].file
        if not path.is_file():
            about = f"{weights.megabytes} MB, {weights.licence}"
            say(f"fetching {weights.file} ({about}): {weights.url}")
            download(weights.url, path, weights.sha256, progress)
    elif name == "clap" and _is_hub_id(given):
        revision = CLAP_REVISIONS.get(given)
        folder = local_folder(given, revision)
        if folder is not None and _is_whole(folder):
            return
        terms = "Apache-2.0" if revision else "its licence stands on its page"
        say(f"fetching {given} from the Hugging Face hub ({revision or 'newest'}; {terms})")
        fetch_hub(given, revision, _PATTERNS)


def _downloaded(name: str) -> Path:
    weights = WEIGHTS[name]
    path = weights_folder() / weights.file
    if not path.is_file():
        raise InputError(
            f"the embedder '{name}' needs its weights: {name}=PATH, where PATH is the published "
            f"file {weights.file}, or --download to fetch it ({weights.megabytes} MB, "
            f"{weights.licence}); nothing is downloaded unasked"
        )
    return path


def require_published(name: str, path: Path, digest: str) -> None:
    """Check that a file which lies where downloads lie is what was downloaded.

    Raises:
        ModelError: it is another file.
    """
    if path.parent == weights_folder() and digest != WEIGHTS[name].sha256:
        raise ModelError(
            f"'{path}' is not the published file: its SHA-256 is {digest}, expected "
            f"{WEIGHTS[name].sha256}. Remove it, and --download fetches it again"
        )


def _is_whole(folder: Path) -> bool:
    return all(any((folder / file).is_file() for file in files) for files in _NEEDED)


def _is_hub_id(given: str) -> bool:
    return (
        given.count("/") == 1 and not given.startswith((".", "/", "~")) and not Path(given).is_dir()
    )


def read_weights(path: Path, name: str) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of the `.pth` file of an embedder, and the SHA-256 of its bytes.

    Raises:
        ModelError: there is no such file, it holds more than tensors and arrays, it is not one of
            torch's, or it lies among the downloads and is not what was downloaded.
    """
    if not path.is_file():
        raise ModelError(f"there is no weight file '{path}'.{nearest_files(path)}")
    digest = hash_file(path)
    require_published(name, path, digest)
    try:
        with torch.serialization.safe_globals(_ARRAYS):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch lets through whatever its reader raises
        reason = str(error).partition("\n")[0]
        raise ModelError(f"'{path}' cannot be read as weights: {reason}") from None
    return _tensors(found, path), digest


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], path: Path | None) -> None:
    """Give a network its weights; every one, and no other.

    Raises:
        ModelError: names what is missing, unknown, or of another shape.
    """
    wanted = network.state_dict()
    faults = [f"lacks {key}" for key in wanted if key not in tensors]
    faults += [f"has an unknown {key}" for key in tensors if key not in wanted]
    faults += [
        f"{key} is {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ModelError(f"'{path}' is another network: it {'; '.join(faults[:3])}{more}")
    network.load_state_dict(dict(tensors))


def _tensors(found: Any, path: Path) -> dict[str, Tensor]:
    inner = found.get("model", found) if isinstance(found, Mapping) else None
    if not isinstance(inner, Mapping) or not all(isinstance(t, Tensor) for t in inner.values()):
        raise ModelError(f"'{path}' holds no state dictionary")
    return dict(inner)
