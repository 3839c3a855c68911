"""Models from the Hugging Face hub, or from a folder that stands in for it.

`huggingface_hub` downloads, resumes what is cut off, caches, and stays offline where
HF_HUB_OFFLINE=1. Every large file that arrives is then compared with the SHA-256 that the hub names
it by. LATENTFOLEY_MIRROR is a folder with models at owner/name, looked at first.
"""

import contextlib
import os
import re
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from latentfoley.checkpoints.registry import PUBLISHED, by_hub_id
from latentfoley.errors import ModelError, nearest_files

MIRROR = "LATENTFOLEY_MIRROR"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_ANSWER_S = 1.2
PATTERNS = ("*.json", "*/*.json", "*/*.safetensors", "*/*.txt")


def fetch(hub_id: str, revision: str | None = None, patterns: tuple[str, ...] = PATTERNS) -> Path:
    """Return the folder of a model, downloading what is not there yet.

    Raises:
        ModelError: it cannot be reached, does not exist, or arrived damaged.
    """
    if mirrored := _in_mirror(hub_id):
        return mirrored
    blobs = _blobs(hub_id)
    before = set(blobs.glob("*"))
    folder = _snapshot(hub_id, revision, patterns)
    for blob in sorted(set(blobs.glob("*")) - before):
        _require_hash(blob)
    return folder


def require_reachable(model: str, revision: str | None = None) -> None:
    """Refuse a name of the hub that is neither here nor to be had, before torch is imported.

    Args:
        model: as `load` takes it; what is no name of the hub is left to it.
        revision: likewise.

    Raises:
        ModelError: the model is not on this machine and the hub does not answer.
    """
    from huggingface_hub import constants

    hub_id = PUBLISHED[model].hub_id if model in PUBLISHED else model
    if not hub_id or not _HUB_ID.fullmatch(hub_id) or Path(model).expanduser().exists():
        return
    if local_folder(hub_id, revision) is None and _is_offline():
        error = _unfetched(hub_id, f"it is not here, and {constants.ENDPOINT} does not answer")
        raise error if model in PUBLISHED else nowhere(model, error)


def nowhere(model: str, error: ModelError) -> ModelError:
    """Return the error of a name that may have been meant for a folder or for the hub."""
    path = Path(model).expanduser()
    hint = nearest_files(path) if path.parent.is_dir() else ""
    return ModelError(f"there is no folder '{model}', and {error}{hint}")


def local_folder(hub_id: str, revision: str | None = None) -> Path | None:
    """Return the folder of a model that is on this machine already, else None; asks no network.

    Args:
        hub_id: owner/name.
        revision: branch, tag or commit; None is the branch main, or else whatever is here. A
            download that was interrupted leaves a folder that lacks files.
    """
    if mirrored := _in_mirror(hub_id):
        return mirrored
    cached = _blobs(hub_id).parent
    named = cached / "refs" / (revision or "main")
    commit = named.read_text().strip() if named.is_file() else revision
    folders = sorted((cached / "snapshots").glob(commit or "*"))
    return next(iter(folders), None)


def check(hub_id: str, folder: Path) -> list[str]:
    """Return the files whose SHA-256 is known from publication and is as it should be.

    Raises:
        ModelError: a file is not the published one.
    """
    from latentfoley.checkpoints.tensors import hash_file

    entry, checked = by_hub_id(hub_id), []
    for file, (first, last) in (entry.hashes if entry else {}).items():
        if not (folder / file).is_file():
            continue
        digest = hash_file(folder / file)
        if not (digest.startswith(first) and digest.endswith(last)):
            raise ModelError(
                f"{folder / file} is not the published file: its SHA-256 is {digest}, expected "
                f"{first}…{last}"
            )
        checked.append(file)
    return checked


def _in_mirror(hub_id: str) -> Path | None:
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return None
    if not Path(mirror).expanduser().is_dir():
        raise ModelError(f"{MIRROR} is '{mirror}', which is no folder")
    folder = Path(mirror).expanduser() / hub_id
    return folder if folder.is_dir() else None


def _blobs(hub_id: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}" / "blobs"


def _snapshot(hub_id: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import logging

    if "HF_HUB_VERBOSITY" not in os.environ:
        logging.set_verbosity_error()  # what it would say of its retries is said here
    offline = _is_offline()
    try:
        wanted = [*patterns, *([] if offline else _older_weights(hub_id, revision, patterns))]
        folder = snapshot_download(
            hub_id, revision=revision, allow_patterns=wanted, local_files_only=offline
        )
        return Path(folder)
    except (LocalEntryNotFoundError, HTTPError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        if offline:
            reason = f"it is not here, and {constants.ENDPOINT} does not answer"
        raise _unfetched(hub_id, reason) from None


def _unfetched(hub_id: str, reason: str) -> ModelError:
    return ModelError(
        f"'{hub_id}' could not be fetched from the Hugging Face hub ({reason}). Asked for "
        "again, a download resumes with the files that are missing. Without "
        f"network, give a folder that holds the model, set {MIRROR} to a folder of models "
        "(owner/name), or use the embedded model 'tiny'."
    )


def _is_offline() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE or not _answers(constants.ENDPOINT)


def _answers(endpoint: str) -> bool:
    """Return whether anything listens there, in little more than a second; a proxy is trusted.

    The client itself retries for most of a minute. Looking up a name has no time limit of its own,
    so it is done in a thread that is left behind.
    """
    if getproxies():
        return True
    url = urlsplit(endpoint)
    address = (url.hostname, url.port or (443 if url.scheme == "https" else 80))
    answered = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection(address, _ANSWER_S):
            answered.set()

    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(_ANSWER_S)
    return answered.is_set()


def _older_weights(hub_id: str, revision: str | None, patterns: tuple[str, ...]) -> list[str]:
    """Return the .bin files of parts that have no .safetensors; none where the hub fails."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    if patterns != PATTERNS:
        return []
    try:
        files = [Path(file) for file in HfApi().list_repo_files(hub_id, revision=revision)]
    except (HTTPError, OfflineModeIsEnabled, OSError):
        return []  # snapshot_download finds what is cached, or says why it cannot
    newer = {file.parent for file in files if file.suffix == ".safetensors"}
    return [str(file) for file in files if file.suffix == ".bin" and file.parent not in newer]


def _require_hash(blob: Path) -> None:
    """Check a file of the cache against its name, which for large files is its SHA-256.

    Raises:
        ModelError: it arrived damaged; it is removed, so that it is fetched again.
    """
    from latentfoley.checkpoints.tensors import hash_file

    if not re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return
    digest = hash_file(blob)
    if digest != blob.name:
        blob.unlink()
        raise ModelError(
            f"a file arrived damaged: its SHA-256 is {digest}, expected {blob.name}. It was "
            "removed; the same command fetches it again"
        )
