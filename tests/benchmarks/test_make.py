"""Every stage of the embedded model's training takes what stages before it have left."""

import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "tiny"))

import make

from latentfoley.data.metadata import Entry


def texts(value):
    """Yield every string of a TOML value."""
    if isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def stages():
    """Return the stages of a plan: the command's words, and the recipe of a training."""
    plan = make.Plan(Path("data"), None, rehearsal=False)
    for _, command in plan.stages():
        words = [str(word) for word in command]
        recipes = [word for word in words if word.endswith(".toml")]
        yield words, tomllib.loads(Path(recipes[0]).read_text()) if recipes else None


def test_inputs_are_outputs_of_stages_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = {f"{make.RUNS}/{name}.jsonl" for name in (*make.MANIFESTS, "balanced")}
    made |= {f"{make.RUNS}/recordings"}
    for words, recipe in stages():
        if recipe:
            folder = recipe["run"]["folder"]
            needed = {text for text in texts(recipe) if text.startswith("runs/")} - {folder}
            left = {folder, f"{folder}/model"}
        else:
            named = {word for word in words if word.startswith("runs/")}
            needed, left = named & made, named
        assert needed <= made, words
        made |= left
    assert f"{make.RUNS}/model" in made


def test_what_comes_seldom_is_linked_more_often_but_never_of_what_is_kept_out(tmp_path):
    entries = [
        Entry(path="esc10/a.flac", split="train", labels=("rain",)),
        Entry(path="esc10/b.flac", split="valid", labels=("rain",)),
        Entry(path="other/c.flac", split="train", labels=("bell",)),
    ]
    for entry in entries:
        path = tmp_path / "data" / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    linked = make.gather(entries, {"esc10": 3}, tmp_path / "data", tmp_path / "links")
    assert [Path(e.path).name[0] for e in linked] == list("aaabc")
    assert all((tmp_path / "links" / entry.path).is_symlink() for entry in linked)
