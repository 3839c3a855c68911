"""Pages of mapped files, given back to the system where they are not needed for a while.

Weights are mapped from their files (`checkpoints/tensors.py`), and what has been read stays in
memory until the system wants it. Where a copy in another form takes their place, or the prompts are
embedded and the text tower is done, that is memory for nothing: hundreds of megabytes of a model of
the published size. What is given back is read again when it is touched.
"""

import ctypes
import mmap
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

_MAPS = Path("/proc/self/maps")
_LARGE = 1 << 20  # bytes: to look where the small ones lie takes longer than they are worth
_PAGEOUT = 21  # MADV_PAGEOUT of <linux/mman.h>, which Python does not name; it loses nothing


def give_back(tensors: Iterable[Tensor]) -> None:
    """Give back the pages of those large tensors that lie in mapped files; Linux only, else
    nothing."""
    large = [tensor for tensor in tensors if tensor.nbytes >= _LARGE]
    if not large or not _MAPS.is_file():
        return
    mapped = _mapped_files()
    libc = ctypes.CDLL(None)
    for tensor in large:
        begin, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
        if any(low <= begin and end <= high for low, high in mapped):
            begin -= begin % mmap.PAGESIZE
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _PAGEOUT)


def _mapped_files() -> list[tuple[int, int]]:
    """Return where files are mapped for reading: first address and the one after the last."""
    lines = (line.split() for line in _MAPS.read_text(encoding="utf-8").splitlines())
    places = [line[0].split("-") for line in lines if line[4] != "0" and "x" not in line[1]]
    return [(int(low, 16), int(high, 16)) for low, high in places]
