"""Every combination is a cell, and is compared with its own counterpart."""

import pytest

from latentfoley.errors import InputError, RecipeError
from latentfoley.evaluation.ablation.cells import make_cells, make_pairs

STEPS = {"sampler": ["ddim", "dpm++"], "steps": [5, 10, 25]}


def compared(cells, *baselines):
    pairs = make_pairs(cells, baselines)
    return [(cells[pair.one].label, cells[pair.other].label) for pair in pairs]


class TestCells:
    def test_are_the_whole_grid(self, make):
        cells = make_cells(make(grid=STEPS))
        assert len(cells) == 6
        assert cells[1].label == "sampler=ddim steps=10"
        assert cells[1].settings == {"duration_s": 0.2, "sampler": "ddim", "steps": 10}

    def test_models_are_an_axis_where_there_are_two(self, make):
        cells = make_cells(make(models={"r4": "a", "r8": "b"}, grid={"steps": [5, 10]}))
        assert [cell.label for cell in cells][:2] == ["model=r4 steps=5", "model=r4 steps=10"]
        assert cells[2].models == ("b",)

    def test_precision_is_an_axis_and_no_setting_of_a_request(self, make):
        cells = make_cells(make(grid={"dtype": ["fp32", "bf16"]}, sampling={"steps": 2}))
        assert [(cell.label, cell.dtype) for cell in cells] == [
            ("dtype=fp32", "fp32"),
            ("dtype=bf16", "bf16"),
        ]
        assert all(cell.settings == {"steps": 2} for cell in cells)

    def test_one_by_one(self, make):
        cells = make_cells(make(grid={}, cells=[{"steps": 5}, {"steps": 5, "guidance": 3.5}]))
        # What a cell does not say is what `generate` takes.
        assert [cell.label for cell in cells] == ["guidance=2.5", "guidance=3.5"]

    @pytest.mark.parametrize(
        ("changes", "error", "says"),
        [
            ({"grid": {}}, RecipeError, "there is one cell"),
            (
                {"grid": {}, "cells": [{"steps": 5}] * 2},
                RecipeError,
                "two cells are alike",
            ),
            ({"grid": {"guidance": [1, 200]}}, InputError, "guidance: must lie between"),
            ({"grid": {"sampler": ["ddim", "dim"]}}, InputError, "Did you mean 'ddim'"),
            ({"grid": {"dtype": ["fp32", "bf61"]}}, InputError, "Did you mean 'bf16'"),
            ({"grid": {}, "cells": [{"model": "micrp"}]}, RecipeError, "Did you mean 'micro'"),
        ],
    )
    def test_refused(self, make, changes, error, says):
        with pytest.raises(error, match=says):
            make_cells(make(**changes))


class TestPairs:
    def test_a_baseline_holds_the_other_axes(self, make):
        cells = make_cells(make(grid=STEPS))
        assert compared(cells, {"steps": 25}) == [
            ("sampler=ddim steps=5", "sampler=ddim steps=25"),
            ("sampler=ddim steps=10", "sampler=ddim steps=25"),
            ("sampler=dpm++ steps=5", "sampler=dpm++ steps=25"),
            ("sampler=dpm++ steps=10", "sampler=dpm++ steps=25"),
        ]
        assert len(compared(cells, {"steps": 25}, {"sampler": "ddim"})) == 7
        assert len(compared(cells, {"steps": 25, "sampler": "ddim"})) == 5

    def test_no_two_cells_are_compared_twice(self, make):
        cells = make_cells(make(grid={"steps": [5, 10]}))
        assert compared(cells, {"steps": 5}, {"steps": 10}) == [("steps=10", "steps=5")]

    def test_without_a_baseline_all_are_compared(self, make):
        assert len(compared(make_cells(make(grid=STEPS)))) == 15

    @pytest.mark.parametrize(
        ("baseline", "says"),
        [
            ({"sampling": 1}, "'sampling', in which no cells differ; .*'sampler'"),
            ({"steps": 26}, "no cell has steps = 26; allowed: 5, 10, 25"),
        ],
    )
    def test_a_baseline_that_is_nowhere(self, make, baseline, says):
        with pytest.raises(RecipeError, match=says):
            make_pairs(make_cells(make(grid=STEPS)), [baseline])

    def test_a_cell_without_a_counterpart(self, make):
        listed = [{"steps": 5}, {"steps": 10}, {"steps": 5, "sampler": "ddim"}]
        cells = make_cells(make(grid={}, cells=listed))
        with pytest.raises(RecipeError, match="sampler=ddim' is no cell"):
            make_pairs(cells, [{"steps": 10}])
