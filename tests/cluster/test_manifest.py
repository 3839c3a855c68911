"""A table becomes rows, whichever way it is written."""

import json

import pytest

from latentfoley.cluster.manifest import Row, read_manifest
from latentfoley.errors import InputError

CELLS = [
    {"id": "dog", "prompt": "a dog, barking", "seed": 7},
    {"prompt": "rain", "bands": [[100.0, 2000.0]]},
]
ROWS = [
    Row(0, "dog", {"prompt": "a dog, barking", "seed": 7}),
    Row(1, "1", {"prompt": "rain", "bands": [[100.0, 2000.0]]}),
]


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines(tmp_path):
    path = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, CELLS)))
    assert list(read_manifest(path)) == ROWS


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t")])
def test_a_csv_says_the_same_in_texts(tmp_path, name, separator):
    lines = [
        ("id", "prompt", "seed", "bands"),
        ("dog", '"a dog, barking"', "7", ""),
        ("", "rain", "", '"[[100.0, 2000.0]]"'),
    ]
    path = write(tmp_path, name, "\n".join(separator.join(cells) for cells in lines))
    seed_as_text = Row(0, "dog", {"prompt": "a dog, barking", "seed": "7"})
    assert list(read_manifest(path)) == [seed_as_text, ROWS[1]]


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(CELLS), tmp_path / "a.parquet")
    first, second = read_manifest(tmp_path / "a.parquet")
    assert first == ROWS[0]
    assert second.asked["prompt"] == "rain"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"id": "x"}\n{"id": "x"}', r"a\.jsonl:2: the id 'x' is that of row 0"),
        ("a.jsonl", '{"id": 1', r"a\.jsonl:1: not JSON"),
        ("a.jsonl", "", "no rows"),
        ("a.txt", "rain", r"manifests end in \.csv"),
        ("a.parquet", "rain", "no Parquet file"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, name, text, said):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match=said):
        list(read_manifest(write(tmp_path, name, text)))


def test_a_missing_one_is_refused_with_the_nearest(tmp_path):
    write(tmp_path, "rows.jsonl", "{}")
    with pytest.raises(InputError, match=r"Nearest there: rows\.jsonl"):
        list(read_manifest(tmp_path / "row.jsonl"))
