"""Class representatives against their definitions; nearest neighbours against brute force."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pag.base.errors import InputError
from pag.targets import representatives
from pag.targets.representatives import class_mean, nearest_neighbor, one_image


def _images(rng, count, shape=(3, 2, 2), high=256):
    return rng.integers(0, high, (count, *shape), dtype=np.uint8)


def _brute_force(pool, pool_labels, queries, num_classes):
    """Eq. (6) with Python's integers, one pair at a time; None where no image differs from the query."""
    nearest = []
    for x in queries:
        row = []
        for c in range(num_classes):
            candidates = [
                (sum((int(p) - int(q)) ** 2 for p, q in zip(x.flat, pool[j].flat, strict=True)), int(j))
                for j in np.flatnonzero(pool_labels == c)
                if not np.array_equal(pool[j], x)
            ]
            row.append(min(candidates)[1] if candidates else None)
        nearest.append(row)
    return nearest


def test_one_image_first_and_medoid():
    rng = np.random.default_rng(0)
    images, labels = _images(rng, 30), rng.permutation(np.repeat(np.arange(3), 10))
    first, medoid = (one_image(images, labels, 3, choice, 0) for choice in ("first", "medoid"))
    assert first.dtype == medoid.dtype == np.float32
    for c in range(3):
        members = images[labels == c]
        np.testing.assert_array_equal(first[c], members[0].astype(np.float32) / np.float32(255))
        distances = [np.linalg.norm(x - members.mean(axis=0)) for x in members]
        np.testing.assert_array_equal(medoid[c], members[np.argmin(distances)].astype(np.float32) / np.float32(255))


def test_one_image_random_draws_each_class_from_its_own_stream():
    rng = np.random.default_rng(1)
    images, labels = _images(rng, 40), np.arange(40) % 4
    chosen = one_image(images, labels, 4, "random", 5)
    for c in range(4):
        members = images[labels == c].astype(np.float32) / np.float32(255)
        assert any(np.array_equal(chosen[c], member) for member in members)
    np.testing.assert_array_equal(chosen[:2], one_image(images, labels, 2, "random", 5))
    assert any(not np.array_equal(chosen, one_image(images, labels, 4, "random", seed)) for seed in range(5))


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_class_mean(scale):
    rng = np.random.default_rng(2)
    images, labels = _images(rng, 20), np.arange(20) % 2
    means = class_mean(images, labels, 2, scale)
    assert means.dtype == np.float32
    expected = [scale * np.mean(images[labels == c] / 255.0, axis=0) for c in range(2)]
    np.testing.assert_allclose(means, expected, rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(2, 12), st.integers(1, 4), st.integers(1, 14))
def test_nearest_neighbor_is_brute_force(seed, num_classes, per_class, high, pool_per_class):
    """Few values a pixel make duplicates and ties common; the queries hold candidates themselves."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(num_classes), per_class))
    images = _images(rng, len(labels), (2, 1, 2), high)
    queries = np.concatenate([images, _images(rng, 5, (2, 1, 2), high)])
    far = np.full((1, 2, 1, 2), 255, np.uint8)  # equals no candidate
    pool, _ = nearest_neighbor(images, labels, far, num_classes, pool_per_class, 3)
    pool_labels = np.repeat(np.arange(num_classes), min(per_class, pool_per_class))
    assert len(pool) == len(pool_labels)
    expected = _brute_force(pool, pool_labels, queries, num_classes)
    if any(None in row for row in expected):
        with pytest.raises(InputError, match="differs"):
            nearest_neighbor(images, labels, queries, num_classes, pool_per_class, 3)
    else:
        pool_again, nearest = nearest_neighbor(images, labels, queries, num_classes, pool_per_class, 3)
        np.testing.assert_array_equal(pool_again, pool)
        assert (pool.dtype, nearest.dtype) == (np.uint8, np.int32)
        assert nearest.tolist() == expected


def test_whole_pool_keeps_each_classs_images_in_order():
    images, labels = _images(np.random.default_rng(6), 12), np.arange(12) % 3
    pool, _ = nearest_neighbor(images, labels, images, 3, 100, 0)
    np.testing.assert_array_equal(pool, np.concatenate([images[labels == c] for c in range(3)]))


def test_extreme_pixels_are_exact():
    """Distances that differ by one in 10⁹ are told apart: float32 would see a tie and take the first."""
    query, far = np.zeros((1, 128, 128, 1), np.uint8), np.full((1, 128, 128, 1), 255, np.uint8)
    nearer = far.copy()
    far[0, 0, 0], nearer[0, 0, 0] = 1, 0  # squared distances that differ by 1
    _, nearest = nearest_neighbor(np.concatenate([far, nearer]), np.zeros(2, np.int64), query, 1, 2, 0)
    assert nearest.tolist() == [[1]]


def test_ties_go_to_the_lowest_index_and_duplicates_do_not_count():
    images = np.array([7, 5, 9, 9, 5, 7], np.uint8).reshape(-1, 1, 1, 1)
    queries = np.array([7, 9, 6], np.uint8).reshape(-1, 1, 1, 1)
    _, nearest = nearest_neighbor(images, np.zeros(6, np.int64), queries, 1, 6, 0)
    assert nearest.tolist() == [[1], [0], [0]]  # 7: 5 and 9 tie; 9: the sevens tie; 6: 7 and 5 tie


def test_pool_of_a_class_is_drawn_from_its_own_stream():
    rng = np.random.default_rng(4)
    images, labels = _images(rng, 60), np.arange(60) % 3
    pool, nearest = nearest_neighbor(images, labels, images, 3, 5, 0)
    fewer, nearest_of_fewer = nearest_neighbor(images, labels, images, 2, 5, 0)
    np.testing.assert_array_equal(pool[:10], fewer)
    np.testing.assert_array_equal(nearest[:, :2], nearest_of_fewer)
    other, _ = nearest_neighbor(images, labels, images, 3, 5, 1)
    assert not np.array_equal(pool, other)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    images, labels = _images(rng, 50, high=3), np.arange(50) % 2
    _, whole = nearest_neighbor(images, labels, images, 2, 20, 0)
    monkeypatch.setattr(representatives, "QUERY_BLOCK", 7)
    _, blocks = nearest_neighbor(images, labels, images, 2, 20, 0)
    np.testing.assert_array_equal(whole, blocks)


def test_memory_stays_below_the_stated_bound():
    rng = np.random.default_rng(7)
    images, labels, queries = _images(rng, 1200, (8, 8, 3)), np.arange(1200) % 2, _images(rng, 9000, (8, 8, 3))
    p, dimension, block = 600, 192, representatives.QUERY_BLOCK
    tracemalloc.start()
    nearest_neighbor(images, labels, queries, 2, p, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * (p + block) * dimension + 10 * block * p + 2 * images.nbytes + 2**20


def test_class_without_another_image_is_named():
    images = np.array([1, 2, 8, 8], np.uint8).reshape(-1, 1, 1, 1)
    with pytest.raises(InputError, match="class 1"):
        nearest_neighbor(images, np.array([0, 0, 1, 1]), images, 2, 10, 0)


@pytest.mark.parametrize(
    "function",
    [
        lambda images, labels: one_image(images, labels, 3, "first", 0),
        lambda images, labels: class_mean(images, labels, 3, 1.0),
        lambda images, labels: nearest_neighbor(images, labels, images, 3, 10, 0),
    ],
)
def test_missing_class_is_named(function):
    images = _images(np.random.default_rng(6), 4)
    with pytest.raises(InputError, match="Class 2"):
        function(images, np.array([0, 0, 1, 1]))
