"""Laws of estimates with confidence intervals."""

import numpy as np
import pytest
import torch

from pag.base.errors import InputError
from pag.evaluation.intervals import Estimate, mean_estimate, proportion, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "confidence", "expected"),
    [
        (0, 10, 0.95, (0.0, 0.2775)),
        (5, 10, 0.95, (0.2366, 0.7634)),
        (10, 10, 0.95, (0.7225, 1.0)),
        (1, 1, 0.95, (0.2065, 1.0)),
        (5, 10, 0.99, (0.1842, 0.8158)),
    ],
)
def test_wilson_interval_has_its_known_values(successes, n, confidence, expected):
    assert wilson_interval(successes, n, confidence) == pytest.approx(expected, abs=5e-5)  # as printed: four digits


def test_wilson_interval_holds_its_level():
    z = 1.959963984540054
    for successes in range(21):  # its ends p solve (p̂ - p)² = z² p (1 - p) / n
        for p in wilson_interval(successes, 20):
            assert (successes / 20 - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / 20, abs=1e-12)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(0, 0, 0.9), (3, 2, 0.9), (-1, 2, 0.9), (1, 2, 1.0)])
def test_impossible_proportions_are_refused(successes, n, confidence):
    with pytest.raises(InputError):
        wilson_interval(successes, n, confidence)


def test_estimates():
    assert proportion(torch.tensor([True, False])) == Estimate(value=0.5, interval=wilson_interval(1, 2), n=2)
    assert proportion(np.ones(3, bool), 0.5).interval == wilson_interval(3, 3, 0.5)
    estimate = mean_estimate(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    half = 1.959963984540054 * (5 / 3) ** 0.5 / 2
    assert estimate.triple == pytest.approx((2.5, 2.5 - half, 2.5 + half))
    assert estimate.n == 4
    with pytest.raises(InputError, match="two"):
        mean_estimate(np.ones(1))
