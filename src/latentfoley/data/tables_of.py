"""The tables, captions and licences of a folder of recordings that is elsewhere.

They are small beside the recordings, and read in many ways (`metadata_index.py`): so they are
copied to this machine before the first recording is, and read there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from latentfoley.data.folder import walk_place
from latentfoley.data.metadata_index import is_licence
from latentfoley.data.tables import SUFFIXES
from latentfoley.errors import InputError
from latentfoley.places import Place

_SUFFIXES = (*SUFFIXES, ".json", ".txt", ".license")


@contextmanager
def tables_of(place: Place) -> Iterator[Path]:
    """Yield a folder of this machine with all that says something about recordings of a place.

    It is the folder itself where it is of this machine, else a copy of those files that is removed
    afterwards; what is said of the copy in an error is said of the place.

    Raises:
        InputError: the place refuses.
    """
    if place.folder is not None:
        yield place.folder
        return
    with TemporaryDirectory(prefix="latentfoley-") as temporary:
        folder = Path(temporary)
        try:
            _copy(place, folder)
            yield folder
        except InputError as error:
            raise InputError(str(error).replace(temporary, place.name)) from None


def _copy(place: Place, folder: Path) -> None:
    for name in walk_place(place):
        file = PurePosixPath(name)
        if file.suffix.lower() in _SUFFIXES or is_licence(file.name):
            copy = folder / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(place.read(name) or b"")
