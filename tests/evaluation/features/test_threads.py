"""Threads change nothing but the time: same order, same errors, same settings afterwards."""

import time

import pytest
import torch

from latentfoley.evaluation.features.threads import in_threads


def test_results_come_in_the_order_of_the_tasks():
    def slow_at_first(k):
        time.sleep(0.02 / (k + 1))
        return k * k

    assert list(in_threads(slow_at_first, range(20))) == [k * k for k in range(20)]


def test_what_a_task_raises_is_raised_here():
    def fails(k):
        if k == 3:
            raise ValueError("three")
        return k

    with pytest.raises(ValueError, match="three"):
        list(in_threads(fails, range(8)))


def test_the_threads_of_torch_stay_as_they_were_here():
    before = torch.get_num_threads()
    assert set(in_threads(lambda _: torch.get_num_threads(), range(4))) == {1}
    assert torch.get_num_threads() == before
