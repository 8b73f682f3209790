"""Laws of runs that differ in their seeds: what their mean is, and when a difference of two methods is one."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from pag.base.errors import InputError
from pag.evaluation import seeds as seeds_module
from pag.evaluation.intervals import Estimate, mean_estimate, proportion
from pag.evaluation.seeds import over_seeds, paired_difference, paired_means, unpaired_difference

RNG = np.random.default_rng(0)
FEW, MANY = RNG.random((3, 120)) < 0.3, RNG.random((3, 120)) < 0.5


def test_a_single_run_is_itself():
    estimate = proportion(FEW[0])
    repeated = over_seeds([estimate])
    assert (repeated.triple, repeated.n, repeated.sd, repeated.runs) == (estimate.triple, 120, None, 1)


def test_mean_and_standard_deviation_are_those_between_runs():
    runs = [Estimate(value=v, interval=(v - 0.1, v + 0.2), n=9) for v in (0.2, 0.3, 0.7)]
    repeated = over_seeds(runs)
    assert repeated.triple == pytest.approx((0.4, 0.3, 0.6))
    assert repeated.sd == pytest.approx(np.sqrt(0.07))
    assert (repeated.runs, repeated.n) == (3, 9)


def test_runs_of_other_examples_are_refused():
    with pytest.raises(InputError, match=r"different numbers of examples \(120, 60\)"):
        over_seeds([proportion(FEW[0]), proportion(FEW[0, :60])])
    with pytest.raises(InputError, match="at least one run"):
        over_seeds([])


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_difference_is_antisymmetric_to_the_bit(seeds):
    for draws in (41, 60, 4000):  # of few draws the ends of an interval are a matter of chance
        one, other = (paired_difference(a[:seeds], b[:seeds], draws=draws) for a, b in ((FEW, MANY), (MANY, FEW)))
        assert one.value == -other.value
        assert one.interval == (-other.interval[1], -other.interval[0])
    assert one.sign == -other.sign == -1


@pytest.mark.parametrize("seeds", [1, 3])
def test_identical_methods_do_not_differ(seeds):
    difference = paired_difference(FEW[:seeds], FEW[:seeds])
    assert (difference.value, difference.sign) == (0.0, 0)
    assert sum(difference.interval) == pytest.approx(0, abs=0.01)
    assert difference.interval[1] < 0.03


@pytest.mark.parametrize(("fell", "sign"), [(3, 0), (4, 0), (8, 1)])
def test_a_few_images_are_no_difference(fell, sign):
    """As by McNemar's exact test: six of six are the fewest that tell (p = 0.03)."""
    more = np.arange(120)[None] < fell
    assert paired_difference(more, np.zeros((1, 120), dtype=bool)).sign == sign


def test_of_one_seed_it_is_the_plain_paired_interval():
    d = FEW[0].astype(float) - MANY[0]
    plain = bootstrap((d,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1))
    assert paired_difference(FEW[:1], MANY[:1]).interval == pytest.approx(tuple(plain.confidence_interval), abs=0.02)
    half = 1.96 * d.std(ddof=1) / np.sqrt(120)
    assert paired_difference(FEW[:1], MANY[:1]).interval == pytest.approx((d.mean() - half, d.mean() + half), abs=0.02)


def test_the_same_outcomes_again_are_no_more_evidence():
    """A seed that gives what another gave, to the image, leaves the interval of the images as it is."""
    one, thrice = (paired_difference(FEW[rows], MANY[rows]) for rows in ([0], [0, 0, 0]))
    assert thrice.interval == one.interval
    assert (one.runs, thrice.runs) == (1, 3)


def test_more_seeds_are_not_more_images():
    """What an image adds is common to all seeds: where nothing else varies, a hundred seeds are as uncertain as one."""
    hard, noise = RNG.random(120) < 0.5, RNG.random((100, 120)) < 0.01
    shared, none = hard ^ noise, np.zeros((100, 120), dtype=bool)
    low, high = paired_difference(shared, none, draws=1000).interval
    assert high - low > 0.9 * 2 * 1.96 * 0.5 / np.sqrt(120)


def test_training_and_targets_are_seeds_each():
    """A second kind of seed that changes nothing changes nothing; one that does widens the interval."""
    a, b = FEW[:, None], MANY[:, None]
    one = paired_difference(FEW, MANY)
    twice = paired_difference(np.repeat(a, 2, axis=1), np.repeat(b, 2, axis=1))
    assert paired_difference(a, b).interval == one.interval
    assert twice.interval == pytest.approx(one.interval, abs=1e-12)
    assert (one.runs, twice.runs) == (3, 6)
    moved = np.concatenate([a, a & (RNG.random((1, 1, 120)) < 0.5)], axis=1)
    assert np.ptp(paired_difference(moved, np.repeat(b, 2, axis=1)).interval) > np.ptp(one.interval)


def test_seeds_that_differ_widen_the_interval():
    steady = np.tile(FEW[:1], (3, 1))
    moved = np.stack([FEW[0], FEW[0] | (RNG.random(120) < 0.4), FEW[0] & (RNG.random(120) < 0.4)])
    widths = [np.ptp(paired_difference(a, np.tile(MANY[:1], (3, 1))).interval) for a in (steady, moved)]
    assert widths[1] > 1.3 * widths[0]


@pytest.mark.parametrize(("seeds", "least"), [(1, 0.88), (3, 0.88), (5, 0.88)])
def test_coverage(seeds, least):
    """Of a true difference of zero, where seeds, images and both together vary."""
    stream, hits, trials = np.random.default_rng(2), 0, 200
    for _ in range(trials):
        scale = 0.02 if seeds > 1 else 0.0
        parts = (
            stream.normal(0, scale, (seeds, 1)),
            stream.normal(0, 0.3, (1, 120)),
            stream.normal(0, 0.4, (seeds, 120)),
        )
        low, high = paired_difference(sum(parts), np.zeros((seeds, 120)), draws=400).interval
        hits += low <= 0 <= high
    assert least <= hits / trials <= 1


def test_the_variance_between_seeds_is_not_biased():
    """Of a mean over three seeds it is s²/3, with s² over S − 1."""
    x = np.array([0.0, 0.0, 1.0])
    means = seeds_module._seed_weights(3, 20_000, np.random.default_rng(0)) @ x
    assert means.var() == pytest.approx(x.var(ddof=1) / 3, rel=0.05)


def test_the_order_of_images_is_not_seen():
    order = RNG.permutation(np.arange(1, 120))
    again = np.concatenate([[0], order])  # the first image decides which method is taken first
    assert paired_difference(FEW[:, again], MANY[:, again]).interval == pytest.approx(
        paired_difference(FEW, MANY).interval, abs=0.01
    )


@pytest.mark.parametrize(("a", "b"), [(FEW, MANY[:2]), (FEW, MANY[:, :60]), (FEW[0], MANY[0]), (FEW[:0], MANY[:0])])
def test_outcomes_that_are_not_paired_are_refused(a, b):
    with pytest.raises(InputError, match="same seeds and images"):
        paired_difference(a, b)


def test_a_confidence_is_one():
    with pytest.raises(InputError, match="between 0 and 1"):
        paired_difference(FEW, MANY, confidence=95)
    wide, narrow = (np.ptp(paired_difference(FEW, MANY, confidence=c).interval) for c in (0.99, 0.8))
    assert wide > narrow


def test_the_difference_of_numbers_that_were_measured_apart_is_newcombes():
    a, b = (over_seeds([proportion(flags)]) for flags in (np.arange(70) < 56, np.arange(80) < 48))
    difference = unpaired_difference(a, b)
    assert difference.triple == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)  # Newcombe (1998), table II, example (a)
    assert unpaired_difference(b, a).triple == pytest.approx((-0.2, -0.3339, -0.0524), abs=5e-5)
    assert difference.n == 70


def test_the_difference_of_means_over_the_same_images_does_not_see_what_images_add():
    images, noise = 10 * RNG.normal(size=500), 0.1 * RNG.normal(size=(1, 500))
    difference = paired_means(images + noise + 1, images[None])
    assert difference.value == pytest.approx(1 + noise.mean())
    low, high = difference.interval
    assert high - low == pytest.approx(2 * 1.96 * noise.std(ddof=1) / np.sqrt(500), rel=1e-3)
    both = paired_means(np.stack([images + noise[0], images + noise[0]]), np.stack([images, images]))
    assert np.ptp(both.interval) == pytest.approx(high - low)  # runs that agree add nothing
    with pytest.raises(InputError, match="not of the same seeds and images"):
        paired_means(noise, noise[:, 1:])


def test_seeds_that_vary_are_no_difference_of_two_methods():
    """Of two like methods, whose networks vary by more than images tell, the interval covers 0 as often as it says."""
    stream, wrong = np.random.default_rng(1), {"paired": 0, "apart": 0}
    for _ in range(400):
        images = 0.05 * stream.normal(size=200)
        a, b = (images + 0.02 * stream.normal(size=(3, 1)) + 0.01 * stream.normal(size=(3, 200)) for _ in range(2))
        low, high = paired_means(a, b).interval
        wrong["paired"] += low > 0 or high < 0
        low, high = unpaired_difference(*(over_seeds([mean_estimate(run) for run in of]) for of in (a, b))).interval
        wrong["apart"] += low > 0 or high < 0
    assert max(wrong.values()) <= 0.08 * 400, wrong
