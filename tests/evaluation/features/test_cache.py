"""The cache: what was put is got, everything that matters is in the key, damage is nothing."""

import numpy as np
import pytest

from latentfoley.evaluation.features.cache import Cache, cache_key, content_hash


@pytest.mark.parametrize("order", ["C", "F"])
def test_what_was_put_is_got(tmp_path, order):
    cache = Cache(tmp_path)
    windows = np.asarray(np.arange(6.0).reshape(2, 3), order=order)
    cache.put("ab12", {"windows": windows, "logits": np.arange(3.0)})
    found = Cache(tmp_path).get("ab12")
    assert np.array_equal(found["windows"], windows)
    assert np.array_equal(found["logits"], np.arange(3.0))
    assert cache.get("ab13") is None


@pytest.mark.parametrize("damage", [b"", b"\x10\0\0\0\0\0\0\0{cut short", b"anything"])
def test_a_damaged_file_is_as_none(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.put("ab12", {"windows": np.eye(2)})
    (tmp_path / "ab" / "ab12.safetensors").write_bytes(damage)
    assert cache.get("ab12") is None


def test_without_a_folder_nothing_is_kept():
    cache = Cache(None)
    cache.put("ab12", {})
    assert cache.get("ab12") is None


def test_a_place_that_cannot_be_written_to_is_no_error(tmp_path):
    (tmp_path / "file").write_text("x")
    cache = Cache(tmp_path / "file")
    cache.put("ab12", {"windows": np.eye(2)})
    assert cache.get("ab12") is None


def test_everything_that_matters_is_in_the_key():
    keys = {
        cache_key("content", "clap", "hash", {"sample_rate": 16_000}),
        cache_key("other", "clap", "hash", {"sample_rate": 16_000}),
        cache_key("content", "vggish", "hash", {"sample_rate": 16_000}),
        cache_key("content", "clap", "other", {"sample_rate": 16_000}),
        cache_key("content", "clap", "hash", {"sample_rate": 32_000}),
        cache_key("content", "clap", "hash", {"sample_rate": 16_000, "level": "zero-mean"}),
    }
    assert len(keys) == 6


def test_the_hash_is_of_the_content(tmp_path):
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (content_hash(tmp_path / name) for name in "abc")
    assert a == b != c
