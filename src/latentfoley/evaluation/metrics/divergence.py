"""KL divergence between the classes of paired clips, by a classifier: KL softmax and KL sigmoid.

Both are called "KL" in the literature and are different quantities. Row k of both arrays must be
of the same caption or recording.
"""

import numpy as np

from latentfoley.evaluation.metrics.score import Bootstrap, Rows, Score, mean_score, require_pairs


def kl_softmax(
    generated: Rows, reference: Rows, *, eps: float = 0.0, bootstrap: Bootstrap | None = None
) -> Score:
    """Return the mean over pairs of KL(p_ref ‖ p_gen) with p = softmax(logits), in nats.

    Args:
        generated: logits, one row per clip, one column per class.
        reference: the same of the reference clips, in the same order.
        eps: added to p_gen inside its logarithm, unnormalised. 0 is the divergence itself; 1e-6 is
            what `audioldm_eval` adds, which caps a pair at ln 10⁶ and can make it negative.
        bootstrap: how the interval is drawn.
    """
    generated, reference = require_pairs(generated, reference, "KL")
    log_generated, log_reference = log_softmax(generated), log_softmax(reference)
    if eps:
        log_generated = np.log(np.exp(log_generated) + eps)
    per_pair = (np.exp(log_reference) * (log_reference - log_generated)).sum(axis=1)
    return mean_score(
        "KL softmax",
        np.maximum(per_pair, 0.0) if not eps else per_pair,
        better="lower",
        unit="nats",
        caveat="Softmax over classes that can sound together: says which class is loudest, not "
        "which are there. Comparable only with the same classifier and pairing.",
        bootstrap=bootstrap,
    )


def kl_sigmoid(
    generated: Rows, reference: Rows, *, eps: float = 1e-6, bootstrap: Bootstrap | None = None
) -> Score:
    """Return the mean over pairs of Σ_c p_ref (ln p_ref - ln (p_gen + eps)), p = sigmoid(logits).

    Kept because published tables hold it. It is no divergence: the term (1-p) ln((1-p)/(1-q)) is
    missing, so it is negative wherever the generated clip has more of every class than the
    reference, and a clip with high probabilities of every class scores best of all.
    """
    generated, reference = require_pairs(generated, reference, "KL")
    log_reference = -np.logaddexp(0.0, -reference)
    log_generated = np.log(np.exp(-np.logaddexp(0.0, -generated)) + eps)
    return mean_score(
        "KL sigmoid",
        (np.exp(log_reference) * (log_reference - log_generated)).sum(axis=1),
        better="lower",
        unit="nats",
        caveat="Not a divergence: one term is missing, it can be negative and rewards high "
        "probabilities of every class. For comparison with published tables only.",
        bootstrap=bootstrap,
    )


def log_softmax(logits: Rows) -> Rows:
    """Return ln softmax of every row, exact for large logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    out: Rows = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return out
