"""Weight files: a path is needed, and what is no weight file is told."""

import pytest

from latentfoley.errors import InputError, ModelError
from latentfoley.evaluation.embedders import find_embedder

NAMES = ["cnn14-16k", "cnn14-32k", "vggish"]


@pytest.mark.parametrize("name", NAMES)
def test_they_must_be_given(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="nothing is downloaded"):
        find_embedder(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_told(name, tmp_path):
    with pytest.raises(ModelError, match="no weight file"):
        find_embedder(f"{name}={tmp_path / 'none.pth'}")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_something_else_is_told(name, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot be read"):
        find_embedder(f"{name}={tmp_path / 'x.pth'}")
