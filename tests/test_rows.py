"""Rows of a batch by threads of their own: the same numbers, whoever computes them."""

import threading

import pytest
import torch

from latentfoley.rows import RowsApart


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Seen:
    """A network that remembers how many rows it was given, by whom, and with how many threads."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, w):
        self.calls.append((len(x), threading.current_thread().name, torch.get_num_threads()))
        return x * w + torch.is_grad_enabled()


X, W = torch.arange(6.0).view(3, 2), torch.tensor([[1.0], [10.0], [100.0]])


@torch.no_grad()
def test_rows_are_computed_apart_and_come_back_in_order(two_threads):
    seen = Seen()
    assert torch.equal(RowsApart(seen)(X, W), X * W)
    assert [n_rows for n_rows, _, _ in seen.calls] == [1, 1, 1]
    assert all(name.startswith("latentfoley-row") for _, name, _ in seen.calls)
    assert {n_threads for _, _, n_threads in seen.calls} == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("rows", [1, 3])
@torch.no_grad()
def test_one_thread_or_one_row_is_one_call(rows):
    before, seen = torch.get_num_threads(), Seen()
    torch.set_num_threads(1 if rows > 1 else 2)
    RowsApart(seen)(X[:rows], W[:rows])
    torch.set_num_threads(before)
    assert [n_rows for n_rows, _, _ in seen.calls] == [rows]


def test_with_gradients_it_is_one_call(two_threads):
    seen = Seen()
    RowsApart(seen)(X, W)
    assert [n_rows for n_rows, _, _ in seen.calls] == [3]


@torch.no_grad()
def test_an_error_in_a_row_is_the_callers(two_threads):
    def fails(x, w):
        raise ValueError("no such row")

    with pytest.raises(ValueError, match="no such row"):
        RowsApart(fails)(X, W)


@torch.no_grad()
def test_new_threads_have_as_many_as_before(two_threads):
    RowsApart(Seen())(X, W)
    counts = []
    thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert counts == [2]
