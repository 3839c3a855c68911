"""Inception Score: clear classes in each clip, many classes over the set.

IS = exp( mean_i KL(p_i ‖ p̄) ),   p = softmax(logits)                    [Salimans et al. 2016]
"""

from itertools import pairwise

import numpy as np

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics.divergence import log_softmax
from latentfoley.evaluation.metrics.score import Bootstrap, Rows, Score, few, require_rows, spread

_SPLIT_SEED = 2020  # that of audioldm_eval and of torch-fidelity


def inception_score(logits: Rows, *, splits: int = 1, bootstrap: Bootstrap | None = None) -> Score:
    """Return IS from 1 (all clips alike, or no class clear) to the number of classes.

    Args:
        logits: one row per generated clip, one column per class.
        splits: parts of a shuffled set whose scores are averaged; 1 is the exact score of the set.
            Published tables use 10, which is lower, the more so the smaller the parts are.
        bootstrap: how the interval is drawn.

    Raises:
        InputError: fewer than two clips per part.
    """
    rows = require_rows(logits, "IS")
    if splits < 1 or len(rows) < 2 * splits:
        raise InputError(
            f"IS over {splits} parts of {len(rows)} clips; allowed: 1 to {len(rows) // 2}"
        )
    log_p = log_softmax(rows)
    parts = _parts(len(rows), splits)
    value = _mean_over(log_p, parts)
    boot = bootstrap or Bootstrap()
    draws = boot.draws(lambda i: _mean_over(log_p[i], parts), len(rows))
    interval = spread(value, draws)
    return Score(
        name="IS" if splits == 1 else f"IS, {splits} splits",
        value=value,
        n=len(rows),
        interval=interval and (max(1.0, interval[0]), interval[1]),
        better="higher",
        caveat=f"At most {min(len(rows) // splits, rows.shape[1])} here, and biased downwards by "
        "few clips per part. Does not look at the reference: nonsense in clear classes scores "
        f"high.{few(len(rows))}",
    )


def _parts(n: int, splits: int) -> list[np.ndarray]:
    if splits == 1:
        return [np.arange(n)]
    order = np.random.RandomState(_SPLIT_SEED).permutation(n)
    edges = [n * k // splits for k in range(splits + 1)]
    return [order[a:b] for a, b in pairwise(edges)]


def _mean_over(log_p: Rows, parts: list[np.ndarray]) -> float:
    return float(np.mean([_whole(log_p[part]) for part in parts]))


def _whole(log_p: Rows) -> float:
    p = np.exp(log_p)
    # p = 0 beside ln p̄ = -inf would be NaN; such a class is nowhere and adds nothing.
    log_mean = np.log(np.maximum(p.mean(axis=0), np.finfo(np.float64).tiny))
    return float(np.exp((p * (log_p - log_mean)).sum(axis=1).mean()))
