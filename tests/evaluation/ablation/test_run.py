"""The whole way on a micro model: from a recipe to verdicts, again and again."""

import pytest

from latentfoley.errors import RecipeError
from latentfoley.evaluation.ablation.run import ablate


def found(ablation):
    return {result.title: result for result in ablation.results}


def test_every_metric_of_every_cell(make, sets, tmp_path):
    _, reference = sets
    metrics = ["loudness", "recognised", "FD", "KID", "KAD", "IS", "diversity", "silent clips"]
    recipe = make(reference=str(reference), metrics=metrics)
    ablation = ablate(recipe, tmp_path / "out", workers=1)
    assert [result.metric for result in ablation.results] == metrics
    for result in ablation.results:
        assert [value.cell for value in result.cells] == ["guidance=1", "guidance=3"]
        assert len(result.differences) == 1
        assert all(value.interval for value in result.cells)
    assert ablation.n_clips == len(ablation.prompts) == 6
    assert ablation.origin["n_reference"] == 24
    assert 0 <= found(ablation)["recognised, classifier"].cells[0].value <= 1


def test_one_model_under_two_names_differs_in_nothing(make, values, tmp_path):
    (model,) = values["models"].values()
    recipe = make(models={"a": model, "b": model}, grid={}, baselines=[])
    for result in ablate(recipe, tmp_path, workers=1).results:
        (difference,) = result.differences
        assert (difference.p.value, difference.verdict) == (1.0, "not shown to differ")


def test_a_second_run_makes_nothing_and_says_the_same(make, tmp_path):
    ticks = []
    first = ablate(make(), tmp_path, workers=1, progress=lambda *at: ticks.append(at))
    assert ticks[-1] == (12, 12)
    ticks.clear()
    again = ablate(make(), tmp_path, workers=1, progress=lambda *at: ticks.append(at))
    assert not ticks
    assert again == first


def test_a_limit_and_few_prompts(make, tmp_path):
    ablation = ablate(make(), tmp_path, workers=1, limit=2)
    assert [prompt.label for prompt in ablation.prompts] == ["low", "high"]
    loudness = found(ablation)["loudness"]
    assert [value.interval for value in loudness.cells] == [None, None]
    assert ablation.warnings[0].startswith("2 prompts are too few")
    assert ablation.warnings[1].startswith("no difference can be shown: 1 comparisons")


def test_models_of_one_label_are_runs(make, values, tmp_path):
    (model,) = values["models"].values()
    recipe = make(models={"a": [model, model], "b": [model, model]}, grid={}, baselines=[])
    ablation = ablate(recipe, tmp_path, workers=1)
    assert ablation.n_clips == 12
    loudness = found(ablation)["loudness"]
    assert len(loudness.cells[0].per_model) == 2
    assert loudness.differences[0].p_runs.least == pytest.approx(1 / 3)


def test_nothing_is_made_for_a_recipe_that_does_not_hold_together(make, tmp_path):
    with pytest.raises(RecipeError):
        ablate(make(baselines=[{"guidance": 2.0}]), tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()
