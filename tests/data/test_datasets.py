"""The digits, their split, the validation part and reduced sets: stratified, disjoint, the same each time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from pag.base.errors import InputError
from pag.data.datasets import validation_mask
from pag.data.originals import Selection, open_original


def _digits(test_fraction=0.2, seed=0, **per_class):
    return open_original("digits", Path("nowhere"), Selection(seed, **per_class), test_fraction=test_fraction).read()


def _rows_as_bytes(part):
    return sorted(image.tobytes() + label.tobytes() for image, label in zip(part.images, part.labels, strict=True))


def test_digits_are_scikit_learns_in_uint8():
    digits = _digits()
    assert digits.class_names == tuple("0123456789")
    raw = load_digits()
    expected = np.array([[[round(v * 255 / 16) for v in row] for row in image] for image in raw.images], dtype=np.uint8)
    every = sorted(i.tobytes() + y.tobytes() for i, y in zip(expected, raw.target.astype(np.int64), strict=True))
    assert sorted(_rows_as_bytes(digits.train) + _rows_as_bytes(digits.test)) == every  # disjoint, and nothing is lost
    for part in (digits.train, digits.test):
        assert part.images.dtype == np.uint8
        assert part.images.shape[1:] == (8, 8, 1)
        assert part.labels.dtype == np.int64
    assert digits.train.images.max() == 255


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_split_is_stratified(fraction):
    digits = _digits(fraction, seed=1)
    train, test = np.bincount(digits.train.labels), np.bincount(digits.test.labels)
    np.testing.assert_allclose(test, fraction * (train + test), atol=1)


def test_split_is_a_function_of_its_seed():
    a, b, c = (_digits(seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.test.images, b.test.images)
    np.testing.assert_array_equal(a.train.labels, b.train.labels)
    assert not np.array_equal(a.test.images, c.test.images)


def test_unknown_data_set():
    with pytest.raises(InputError, match=r"'mnist'.*digits"):
        open_original("mnist", Path("nowhere"), Selection(0))


@pytest.mark.parametrize("fraction", [0.0, 1.5, 0.001, 0.9999])
def test_impossible_test_fraction(fraction):
    with pytest.raises(InputError, match=f"test fraction {fraction}"):
        _digits(fraction)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=5), st.floats(0.01, 0.5), st.integers(0, 100))
def test_validation_is_stratified_and_the_same_each_time(counts, fraction, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    mask = validation_mask(labels, fraction, seed)
    assert mask.dtype == np.bool_
    assert mask.shape == labels.shape
    assert np.bincount(labels[mask], minlength=len(counts)).tolist() == [max(1, round(fraction * n)) for n in counts]
    np.testing.assert_array_equal(mask, validation_mask(labels, fraction, seed))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_validation_fraction_out_of_range(fraction):
    with pytest.raises(InputError, match="fraction"):
        validation_mask(np.array([0, 0, 1, 1]), fraction, 0)


def test_validation_leaves_every_class_something_to_train_on():
    with pytest.raises(InputError, match="class 1"):
        validation_mask(np.array([0, 0, 1]), 0.5, 0)


classes_of = st.lists(st.integers(3, 30), min_size=1, max_size=5)


@settings(deadline=None, max_examples=50)
@given(classes_of, st.integers(1, 3), st.integers(0, 100))
def test_selection_takes_so_many_of_each_class_in_order(counts, count, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = Selection(seed, train=count).rows("train", labels)
    assert np.bincount(labels[rows]).tolist() == [count] * len(counts)
    assert (np.diff(rows) > 0).all()
    smaller = Selection(seed, train=count - 1).rows("train", labels) if count > 1 else rows
    assert set(smaller) <= set(rows)
    np.testing.assert_array_equal(Selection(seed, train=count).rows("test", labels), np.arange(len(labels)))


def test_selection_is_drawn_by_its_seed_and_the_part():
    labels = np.repeat([0, 1], 50)
    draws = [Selection(seed, 10, 10).rows(part, labels) for seed in (0, 1) for part in ("train", "test")]
    assert len({tuple(rows) for rows in draws}) == 4


def test_selection_of_more_images_than_there_are():
    with pytest.raises(InputError, match=r"Class 1 has 2 test images; 3 of each"):
        Selection(0, test=3).rows("test", np.array([0, 0, 0, 1, 1]))


def test_reduced_digits_are_some_of_the_digits():
    whole, reduced = _digits(), _digits(train=7, test=4)
    assert np.bincount(reduced.train.labels).tolist() == [7] * 10
    assert np.bincount(reduced.test.labels).tolist() == [4] * 10
    for part in ("train", "test"):
        assert set(_rows_as_bytes(getattr(reduced, part))) <= set(_rows_as_bytes(getattr(whole, part)))
