"""Fréchet distance: closed forms, scipy's matrix square root, torchmetrics; then how it moves."""

import numpy as np
import pytest
import scipy.linalg
import torch

from latentfoley.errors import InputError
from latentfoley.evaluation.metrics import frechet
from latentfoley.evaluation.metrics.frechet import (
    frechet_distance,
    frechet_infinity,
    frechet_per_clip,
    frechet_score,
)
from latentfoley.evaluation.metrics.score import Bootstrap

QUICK = Bootstrap(resamples=20)


def gaussian(n, width, *, seed=0, shift=0.0):
    """Rows of a Gaussian whose covariance has no special shape."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width)) / np.sqrt(width)
    return rng.normal(size=(n, width)) @ mixing + shift


def resample(n):
    """Places drawn with replacement, some of them several times."""
    return np.random.default_rng(2).integers(0, n, n)


def by_matrix_square_root(one, other):
    """The same formula, literally."""
    covs = [np.cov(rows, rowvar=False) for rows in (one, other)]
    root = scipy.linalg.sqrtm(covs[0] @ covs[1])
    shift = one.mean(axis=0) - other.mean(axis=0)
    return shift @ shift + np.trace(covs[0] + covs[1] - 2 * np.real(root))


def with_moments(rows, mean, covariance):
    """Return rows moved so that mean and covariance are exactly as asked."""
    white = rows - rows.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


class TestExact:
    @pytest.mark.parametrize(("n", "m", "width"), [(200, 150, 8), (40, 300, 64), (300, 300, 64)])
    def test_it_is_scipys(self, n, m, width):
        one, other = gaussian(n, width), gaussian(m, width, seed=1, shift=0.3)
        expected = by_matrix_square_root(one, other)
        # sqrtm of a singular product is itself good to 1e-4 only; ours is not the worse of both
        tolerance = 1e-9 if min(n, m) > width else 1e-3
        assert frechet_distance(one, other) == pytest.approx(expected, rel=tolerance)

    def test_it_is_the_closed_form_of_commuting_covariances(self):
        rows = np.random.default_rng(0).normal(size=(50, 3))
        one = with_moments(rows, [0, 0, 0], np.diag([1.0, 4.0, 9.0]))
        other = with_moments(rows[::-1], [1, 2, 2], np.diag([4.0, 4.0, 1.0]))
        # ‖μ‖² = 9, Σ (σ₁ - σ₂)² = 1 + 0 + 4
        assert frechet_distance(one, other) == pytest.approx(14.0, rel=1e-12)

    def test_more_dimensions_than_clips_change_nothing(self):
        one, other = gaussian(30, 8), gaussian(30, 8, seed=1)
        turn = np.linalg.qr(np.random.default_rng(5).normal(size=(400, 400)))[0][:8]
        wide = frechet_distance(one @ turn, other @ turn)  # 30 clips in 400 dimensions
        assert wide == pytest.approx(frechet_distance(one, other), rel=1e-9)

    @pytest.mark.parametrize(("n", "m", "width"), [(200, 150, 8), (40, 300, 64), (60, 50, 64)])
    def test_the_way_by_eigenvalues_is_the_same_to_1e_7_of_the_traces(self, n, m, width):
        one, other = gaussian(n, width), gaussian(m, width, seed=1, shift=0.3)
        spread = np.cov(one, rowvar=False).trace() + np.cov(other, rowvar=False).trace()
        for i, j in ((np.arange(n), np.arange(m)), (resample(n), resample(m))):
            of_other = frechet._moments(*frechet._counted(other, j))
            quick = frechet._by_eigenvalues(*frechet._counted(one, i), *of_other)
            assert quick == pytest.approx(frechet_distance(one[i], other[j]), abs=1e-7 * spread)

    def test_it_is_torchmetrics(self):
        from torchmetrics.image.fid import FrechetInceptionDistance

        class Flat(torch.nn.Module):
            num_features = 6

            def forward(self, images):
                return images.double().flatten(1)[:, :6]

        one, other = (
            np.random.default_rng(k).integers(0, 255, (60, 3, 1, 2)).astype(np.uint8)
            for k in (0, 1)
        )
        fid = FrechetInceptionDistance(Flat(), normalize=False, input_img_size=(3, 1, 2))
        fid.set_dtype(torch.float64)
        fid.update(torch.from_numpy(one), real=False)
        fid.update(torch.from_numpy(other), real=True)
        ours = frechet_distance(one.reshape(60, 6), other.reshape(60, 6))
        assert ours == pytest.approx(float(fid.compute()), rel=1e-5)


class TestMoves:
    def test_a_set_has_no_distance_to_itself_in_any_order(self):
        rows = gaussian(100, 16)
        assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
        assert frechet_distance(rows[::-1], rows) == pytest.approx(0, abs=1e-9)

    def test_it_is_symmetric_and_grows_with_the_shift(self):
        one, other = gaussian(80, 4), gaussian(80, 4, seed=1)
        assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one))
        distances = [frechet_distance(one, other + shift) for shift in (0.0, 0.5, 1.0, 2.0)]
        assert distances == sorted(distances)

    def test_copies_of_one_clip_are_far_from_a_varied_set(self):
        reference = gaussian(80, 4)
        copies = np.repeat(reference[:1], 80, axis=0)
        assert frechet_distance(copies, reference) > frechet_distance(
            gaussian(80, 4, seed=1), reference
        )


class TestScore:
    def test_the_interval_holds_the_value_and_the_caveat_the_bias(self):
        score = frechet_score(gaussian(60, 8), gaussian(60, 8, seed=1), bootstrap=QUICK)
        assert score.interval[0] <= score.value <= score.interval[1]
        assert "Biased upwards" in score.caveat
        assert score.n == 60

    def test_the_caveat_tells_a_rank_below_the_width(self):
        score = frechet_score(gaussian(20, 32), gaussian(30, 32, seed=1), bootstrap=QUICK)
        assert "rank 19 of 32" in score.caveat

    def test_extrapolation_takes_the_bias_out(self):
        one, other = gaussian(100, 16), gaussian(5000, 16, seed=1)  # truly equal: 0
        plain = frechet_distance(one, other)
        score = frechet_infinity(one, other, bootstrap=Bootstrap(resamples=5))
        assert abs(score.value) < plain / 3
        assert score == frechet_infinity(one, other, bootstrap=Bootstrap(resamples=5))

    def test_extrapolation_needs_clips(self):
        with pytest.raises(InputError, match="20"):
            frechet_infinity(gaussian(19, 4), gaussian(50, 4))

    def test_one_row_is_its_distance_to_the_mean_and_the_spread(self):
        reference = gaussian(50, 4)
        clips = [reference.mean(axis=0, keepdims=True), reference[:1] + 5]
        score = frechet_per_clip(clips, reference)
        assert score.per_clip[0] == pytest.approx(np.trace(np.cov(reference, rowvar=False)))
        assert score.per_clip[1] > score.per_clip[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros((1, 4)), np.zeros((5, 4))),
        (np.zeros((5, 4)), np.zeros((5, 3))),
        (np.full((5, 4), np.nan), np.zeros((5, 4))),
        (np.zeros(4), np.zeros((5, 4))),
    ],
)
def test_what_has_no_distance_is_refused(one, other):
    with pytest.raises(InputError):
        frechet_distance(one, other)
