"""`latentfoley ablate`: a folder of reports; mistakes are answered before anything is made."""

import json
import sys

import pytest

from latentfoley.evaluation.sets import generated


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


@pytest.fixture
def recipe(tmp_path, micro_model_folder):
    """A recipe of two cells, whose lines a test can change."""

    def recipe(**changes):
        values = {
            "prompts": ["rain", "a dog", "a bell", "the sea", "wind"],
            "metrics": ["CLAP score", "loudness"],
            "embedders": [f"clap={micro_model_folder}"],
            "permutations": 99,
            "resamples": 20,
        } | changes
        lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
        tables = f'[models]\nmicro = "{micro_model_folder}"\n[sampling]\nduration_s = 0.2\n'
        text = "\n".join([*lines, tables, "[grid]\nsteps = [1, 2]\n"])
        (tmp_path / "recipe.toml").write_text(text)
        return "recipe.toml"

    return recipe


def test_tables_and_files(run, recipe, tmp_path):
    end = run("ablate", recipe(), "--out", "made", "--workers", 1)
    assert end.code == 0, end
    for text in ("CLAP score", "steps=2", "not shown to differ", "written: made/results.json"):
        assert text in end.out
    assert "cannot give a corrected p below" in end.err
    made = {path.name for path in (tmp_path / "made").iterdir()}
    files = {"results.json", "report.html"}
    assert made == files | {"clips", "features"}
    again = run("ablate", recipe(), "--out", "made", "--workers", 1)
    assert again.out == end.out


def test_a_quick_look(run, recipe, tmp_path):
    assert run("ablate", recipe(), "--out", "made", "--workers", 1, "--limit", 2).code == 0
    assert len(list(tmp_path.glob("made/clips/*/*.flac"))) == 4


def test_a_stop_loses_nothing(run, recipe, monkeypatch, tmp_path):
    make, made = generated.generate_one, []

    def stop_after_two(job):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(make(job))

    monkeypatch.setattr(generated, "generate_one", stop_after_two)
    end = run("ablate", recipe(), "--out", "made", "--workers", 1)
    assert end.code == 130
    assert end.err == "stopped; what is written is whole, and the same command resumes\n"
    assert len(list(tmp_path.glob("made/clips/*/*"))) == 2


class TestMistakes:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"metrics": ["clap score"]}, "Did you mean 'CLAP score'?"),
            ({"metrics": ["recognised"]}, "'recognised' needs an embedder: a classifier"),
            ({"embedders": ["clpa"]}, "Did you mean 'clap'?"),
            ({"reference": "nowhere", "metrics": ["FD"]}, "no folder or manifest 'nowhere'"),
            ({"baselines": [{"steps": 3}]}, "no cell has steps = 3; allowed: 1, 2"),
            ({"prompts": []}, "there are no prompts"),
        ],
    )
    def test_of_the_recipe(self, run, recipe, refused, changes, says):
        words = ("ablate", recipe(**changes), "--out", "made")
        refused(run, *words, says=says)

    def test_no_recipe(self, run, recipe, refused):
        recipe()
        refused(run, "ablate", "recipes.toml", "--out", "o", says="Nearest there: recipe.toml")

    def test_workers(self, run, recipe, refused):
        words = ("ablate", recipe(), "--out", "o", "--workers", 0)
        refused(run, *words, says="0 workers; allowed: 1 to 256")

    def test_no_ray(self, run, recipe, refused, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "ray", None)
        words = ("ablate", recipe(), "--out", "o", "--ray")
        refused(run, *words, says="pip install 'latentfoley[ray]'")
        assert not list(tmp_path.rglob("*.flac"))
