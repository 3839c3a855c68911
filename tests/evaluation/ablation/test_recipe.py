"""A recipe says one thing, or is refused with what is allowed."""

import pytest

from latentfoley.errors import RecipeError


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metric": ["FD"]}, "unknown key 'metric'; .*Did you mean 'metrics'"),
        ({"metrics": ["recognized"]}, "no metric 'recognized'; .*Did you mean 'recognised'"),
        ({"metrics": []}, "metrics: "),
        ({"metrics": ["FD"]}, "FD compare with a reference set: give reference"),
        ({"grid": {"guidence": [1, 2]}}, "'guidence'; .*Did you mean 'guidance'"),
        ({"grid": {"model": ["a"]}}, r"models stand in \[models\]"),
        ({"grid": {"guidance": [1, 1]}}, "1 stands there twice"),
        ({"sampling": {"seed": 3}}, "unknown setting 'seed'"),
        ({"seeds": [1, 1]}, "1 stands there twice"),
        ({"cells": [{"steps": 5}]}, "a grid or a list of cells"),
        ({"cells": [{"step": 5}], "grid": {}}, "Did you mean 'steps'"),
        ({"models": {"a": ["x", "y"], "b": "z"}}, "as many models as the others"),
        ({"n": 0}, "greater than or equal to 1"),
    ],
)
def test_is_refused(make, changes, says):
    with pytest.raises(RecipeError, match=says):
        make(**changes)


def test_one_model_or_several_of_a_label(make):
    assert make(models={"a": "x"}).runs == {"a": ("x",)}
    assert make(models={"a": ["x", "y"], "b": ["u", "v"]}).runs == {
        "a": ("x", "y"),
        "b": ("u", "v"),
    }
