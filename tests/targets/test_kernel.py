"""Kernel targets against their definition: posterior means of a noised training set, and the heuristics that are its limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import digests

from pag.base.errors import InputError
from pag.data.datasets import Dataset, LabelledImages
from pag.data.image_store import ImageStore, pixels, write_images
from pag.targets import bandwidth, kernel, kernel_targets
from pag.targets.bandwidth import likeliest_sigma
from pag.targets.heuristic_store import write_nearest
from pag.targets.kernel import posterior_means, weighted_neighbors
from pag.targets.kernel_targets import Kernel, KernelTargets
from pag.targets.kinds import open_targets
from pag.targets.members import Members
from pag.targets.representatives import nearest_neighbor
from pag.targets.spaces import LEVELS, pixel_space, principal_components
from pag.targets.store import Origin

CPU = torch.device("cpu")
C, SHAPE = 3, (2, 3, 2)


def _images(seed, count, high=256):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.integers(0, high, (count, *SHAPE), dtype=np.uint8))
    return images, torch.from_numpy(rng.permutation(np.arange(count) % C))


def _members(images, labels, components=None):
    space = pixel_space(CPU) if components is None else principal_components(images, components, 0).space(CPU)
    return Members(images, labels, C, space)


def _pairs(images, labels, x, c):
    """The images of class `c` (None: of all) that differ from x, and their squared distances to it, in pixels of [0, 1]."""
    others = [
        image.double() / 255
        for image, label in zip(images, labels, strict=True)
        if (c is None or label == c) and not torch.equal(image, x)
    ]
    return others, [(x.double() / 255 - image).square().sum() for image in others]


def _by_definition(images, labels, x, c, sigma):
    """`Σ_i softmax_i(−‖x − x_i‖² / 2σ²) x_i`, one image at a time."""
    others, squares = _pairs(images, labels, x, c)
    weights = [math.exp(float(min(squares) - square) / (2 * sigma**2)) for square in squares]
    return sum(w * image for w, image in zip(weights, others, strict=True)) / sum(weights)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([0.02, 0.3, 2.0]), st.sampled_from([3, 256]))
def test_means_are_their_definition_without_the_image_and_its_copies(seed, sigma, high):
    images, labels = _images(seed, 24, high)
    queries = torch.cat([images[:5], _images(seed + 1, 3, high)[0]])
    images = torch.cat([images, images[:2]])  # copies, of their own class and of another
    labels = torch.cat([labels, labels[:1], (labels[1:2] + 1) % C])
    r = posterior_means(_members(images, labels), queries, sigma)
    assert r.shape == (len(queries), C + 1, *SHAPE)
    for n, x in enumerate(queries):
        for c in (*range(C), None):
            expected = _by_definition(images, labels, x, c, sigma)
            torch.testing.assert_close(r[n, C if c is None else c].double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("c", [0, 1, None])
def test_means_are_the_score_of_a_kernel_density(c):
    """`σ² ∇ log p̂_c(x) = r_c(x) − x`: by automatic differentiation of the density itself."""
    images, labels = _images(4, 30)
    sigma, query = 0.4, _images(5, 1)[0]
    x = (query[0].double() / 255).requires_grad_()
    members = images if c is None else images[labels == c]
    squares = (x - members.double() / 255).square().flatten(1).sum(dim=1)
    (score,) = torch.autograd.grad((-squares / (2 * sigma**2)).logsumexp(dim=0), x)
    r = posterior_means(_members(images, labels), query, sigma)[0, C if c is None else c]
    torch.testing.assert_close(sigma**2 * score, r.double() - x.detach(), rtol=0, atol=1e-6)


def _store(tmp_path, seed=0, count=45, validation=6):
    images, labels = _images(seed, count)
    part = LabelledImages(images.numpy().transpose(0, 2, 3, 1), labels.numpy())
    path = tmp_path / "images.zarr"
    write_images(path, Dataset("toy", part, part, ("ant", "bee", "cat"), ""), np.arange(count) < validation)
    return ImageStore.open(path)


def _targets(store, kernel, relative_to):
    return KernelTargets(store, store.all_training(), Origin(store.checksum, "train"), kernel, relative_to, 0, CPU)


def _written(tmp_path, store, relative_to, sigma, *, neighbors=None, components=None, name="kernel.zarr"):
    targets = _targets(store, Kernel(sigma, components), relative_to)
    (tmp_path / f"kept {name}").mkdir()
    if neighbors is None:
        targets.write_gradients(tmp_path / name, "float16", 16, "key", tmp_path / f"kept {name}")
    else:
        targets.write_neighbors(tmp_path / name, neighbors, "key")
    return open_targets(tmp_path / name)


def _gathered(targets, store):
    rows = torch.arange(store.num_training)
    x = pixels(store.all_training().images)
    return targets.gather(rows, torch.arange(C).expand(len(rows), -1), x)


@pytest.mark.parametrize("neighbors", [None, 1, 5])
@pytest.mark.parametrize("relative_to", ["image", "own_class"])
def test_for_a_small_sigma_targets_are_those_of_the_nearest_neighbour(tmp_path, relative_to, neighbors):
    store = _store(tmp_path)
    train, every = store.split("train"), store.all_training()
    last = [split.images.numpy().transpose(0, 2, 3, 1) for split in (train, every)]
    pool, nearest = nearest_neighbor(last[0], train.labels.numpy(), last[1], C, 100, 0)
    write_nearest(tmp_path / "nn.zarr", pool, nearest, relative_to, every.labels.numpy())
    expected = _gathered(open_targets(tmp_path / "nn.zarr"), store)
    g = _gathered(_written(tmp_path, store, relative_to, 1e-4, neighbors=neighbors), store)
    torch.testing.assert_close(g, expected, rtol=0, atol=1e-3 if neighbors is None else 1e-6)  # float16 keeps 11 bits


def test_for_a_large_sigma_means_are_those_of_the_class_without_the_image():
    images, labels = _images(1, 30)
    r = posterior_means(_members(images, labels), images, 1e6)
    for n in range(len(images)):
        for c in range(C):
            of_class = (labels == c) & (torch.arange(len(images)) != n)
            expected = (images[of_class].double() / 255).mean(dim=0)
            torch.testing.assert_close(r[n, c].double(), expected, rtol=0, atol=1e-6)
    others = (images.double() / 255).sum(dim=0) - images.double() / 255
    torch.testing.assert_close(r[:, C].double(), others / (len(images) - 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("relative_to", ["image", "own_class", "unconditional"])
@pytest.mark.parametrize("neighbors", [None, 4])
def test_targets_are_relative_to_what_they_say(tmp_path, relative_to, neighbors):
    """Validation rows have targets, too, and are nobody's neighbours."""
    store, sigma = _store(tmp_path), 0.3
    every, train = store.all_training(), store.split("train")
    g = _gathered(_written(tmp_path, store, relative_to, sigma, neighbors=neighbors), store)
    if neighbors is not None:
        found = weighted_neighbors(_members(train.images, train.labels), every.images, sigma, neighbors)
        pool = _members(train.images, train.labels).images.double() / 255
        r = torch.einsum("nck,nck...->nc...", found.weights.double(), pool[found.members.long()])
    else:
        r = torch.stack(
            [
                torch.stack([_by_definition(train.images, train.labels, x, c, sigma) for c in (*range(C), None)])
                for x in every.images
            ]
        )
    for n, (x, y) in enumerate(zip(every.images, every.labels.tolist(), strict=True)):
        for c in range(C):
            if relative_to == "own_class":
                others = [r[n, other] - r[n, y] for other in range(C) if other != y]
                expected = -sum(others) / (C - 1) if c == y else r[n, c] - r[n, y]
            else:
                expected = r[n, c] - (r[n, C] if relative_to == "unconditional" else x.double() / 255)
            torch.testing.assert_close(g[n, c].double(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1e6])
def test_what_is_cut_bounds_the_error_of_the_means(sigma):
    """`r − r̃ = δ (mean of those cut − r̃)`, for the weight δ that is cut."""
    images, labels = _images(2, 60)
    members, every = _members(images, labels), range(len(images))
    r = posterior_means(members, images, sigma).flatten(2).double()
    pool = members.images.flatten(1).double() / 255
    diameter = torch.cdist(pool, pool).max()
    cut_before = torch.ones(len(images), C + 1)
    for count in (1, 3, 10):
        found = weighted_neighbors(members, images, sigma, count)
        torch.testing.assert_close(found.weights.sum(dim=2), torch.ones(len(images), C + 1))
        kept = torch.einsum("nck,nckd->ncd", found.weights.double(), pool[found.members.long()])
        error = (kept - r).norm(dim=2)
        assert (error <= found.cut * diameter + 1e-6).all()
        assert (found.cut <= cut_before + 1e-9).all()
        cut_before = found.cut
        assert all(
            labels.sort(stable=True).values[found.members[n, c].long()].eq(c).all() for n in every for c in range(C)
        )
    whole = weighted_neighbors(members, images, sigma, 20)
    assert whole.cut[:, :C].max() < 1e-12


def test_cut_weight_and_sigma_stand_in_the_store(tmp_path):
    import zarr

    store = _store(tmp_path)
    targets = _targets(store, Kernel(None, 4), "own_class")
    cut = targets.write_neighbors(tmp_path / "kernel.zarr", 2, "key")
    told = zarr.open_group(tmp_path / "kernel.zarr", mode="r").attrs.asdict()
    assert 0 < cut["mean"] < cut["max"] < 1
    assert told == {
        "kind": "neighbors", "relative_to": "own_class", "images": store.checksum, "split": "train", "sigma": targets.sigma,
        "components": 4, "sigma_by": "leave-one-out likelihood", "cut_weight": dict(cut),
    }  # fmt: skip


@pytest.mark.parametrize("neighbors", [None, 3])
def test_blocks_change_no_target(tmp_path, monkeypatch, neighbors):
    store = _store(tmp_path)
    whole = _gathered(_written(tmp_path, store, "unconditional", 0.2, neighbors=neighbors, name="whole.zarr"), store)
    again = _written(tmp_path, store, "unconditional", 0.2, neighbors=neighbors, name="again.zarr")
    assert digests(again.path) == digests(tmp_path / "whole.zarr")
    monkeypatch.setattr(kernel, "QUERY_BLOCK", 7)
    monkeypatch.setattr(kernel_targets, "QUERY_BLOCK", 7)
    blocks = _written(tmp_path, store, "unconditional", 0.2, neighbors=neighbors, name="blocks.zarr")
    torch.testing.assert_close(_gathered(blocks, store), whole, rtol=0, atol=1e-6)


def test_all_principal_components_have_the_distances_of_pixels():
    images, labels = _images(7, 40)
    dimension = images[0].numel()
    in_pixels, rotated = (_members(images, labels, count) for count in (None, dimension))
    for c in range(C):
        a, b = (members.squared_distances(members.locate(images), c) for members in (in_pixels, rotated))
        assert torch.equal(a.isinf(), b.isinf())
        torch.testing.assert_close(a, b)
    fewer = _members(images, labels, 3)
    assert (
        fewer.squared_distances(fewer.locate(images), 0) <= in_pixels.squared_distances(in_pixels.locate(images), 0)
    ).all()


@pytest.mark.parametrize("count", [8, 200])
def test_principal_components_are_where_images_vary_most(count):
    """With fewer images than values, and with more."""
    images = _images(8, count)[0]
    found = principal_components(images, 5, 0)
    x = images.flatten(1).double()
    expected = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False).Vh[:5].T
    torch.testing.assert_close(found.basis.T @ found.basis, torch.eye(5, dtype=torch.float64))
    torch.testing.assert_close(found.basis @ found.basis.T, expected @ expected.T)


def test_distances_in_pixels_are_exact():
    images = torch.full((3, 3, 64, 64), 255, dtype=torch.uint8)
    images[0], images[2, 0, 0, 0] = 0, 254
    members = Members(images, torch.zeros(3, dtype=torch.int64), 1, pixel_space(CPU))
    largest = 3 * 64 * 64 * 255**2
    assert members.squared_distances(members.own(0), 0)[0].tolist() == [math.inf, largest, largest - 509]


def _likelihood(images, labels, sigma):
    """The mean over images of the log density that the others of their class give them."""
    total, dimension = 0.0, images[0].numel()
    for x, y in zip(images, labels, strict=True):
        _, squares = _pairs(images, labels, x, y)
        logits = torch.stack(squares) / (-2 * sigma**2)
        total += float(logits.logsumexp(dim=0)) - math.log(len(squares)) - dimension * math.log(sigma)
    return total / len(images)


def test_sigma_is_the_likeliest():
    images, labels = _images(9, 60)
    sigma = likeliest_sigma(_members(images, labels), 0)
    best = _likelihood(images, labels, sigma)
    candidates = [sigma * factor for factor in (0.25, 0.5, 0.8, 0.95, 0.99, 1.01, 1.05, 1.25, 2.0, 4.0)]
    assert all(_likelihood(images, labels, other) < best for other in candidates)


def test_sigma_is_in_the_unit_of_pixels_and_of_a_part_of_many_images(monkeypatch):
    images, labels = _images(10, 300, high=80)
    sigma = likeliest_sigma(_members(images, labels), 0)
    assert likeliest_sigma(_members(3 * images, labels), 0) == pytest.approx(3 * sigma, rel=2e-3)
    monkeypatch.setattr(bandwidth, "QUERIES", 150)
    part = likeliest_sigma(_members(images, labels), 0)
    assert part != sigma
    assert part == pytest.approx(sigma, rel=0.05)


def test_gaussian_noise_about_few_images_is_found_again():
    """Images of a class that are one image with noise of 8 levels: σ of their kernel density is of that size."""
    rng = np.random.default_rng(11)
    centre = rng.integers(60, 190, (C, 1, *SHAPE))
    images = torch.from_numpy(
        (centre + rng.normal(0, 8, (C, 200, *SHAPE))).round().astype(np.uint8).reshape(-1, *SHAPE)
    )
    sigma = likeliest_sigma(_members(images, torch.arange(C).repeat_interleave(200)), 0)
    assert 4 < LEVELS * sigma < 10


@pytest.mark.parametrize("images", [[[1], [2, 9]], [[4, 4], [2, 9]]])
def test_a_class_of_one_image_is_refused(images):
    """Or of copies of one."""
    labels = torch.tensor([c for c, of_class in enumerate(images) for _ in of_class])
    pool = torch.tensor([value for of_class in images for value in of_class], dtype=torch.uint8).reshape(-1, 1, 1, 1)
    members = Members(pool, labels, 2, pixel_space(CPU))
    calls = (
        lambda: posterior_means(members, pool, 0.5),
        lambda: weighted_neighbors(members, pool, 0.5, 1),
        lambda: likeliest_sigma(members, 0),
    )
    for call in calls:
        with pytest.raises(
            InputError, match=r"^Class 0 has one training image, or copies of one: .* no kernel density\.$"
        ):
            call()
    assert posterior_means(members, pool + 100, 0.5).isfinite().all()  # to others it is no neighbour of its own


def test_what_a_training_set_does_not_have_is_refused():
    images, labels = _images(0, 12)
    with pytest.raises(InputError, match=r"^neighbors is 5, and class 0 has 4 training images; null .*\.$"):
        weighted_neighbors(_members(images, labels), images, 0.5, 5)
    with pytest.raises(InputError, match=r"^components is 13, and 12 images of 12 values have fewer\.$"):
        principal_components(images, 13, 0)
    with pytest.raises(InputError, match=r"^Class 2 has no training image"):
        _members(images, labels.clamp(max=1))
    same = images[:6].clone()
    same[:, :, :, 0] = same[0, :, :, 0]
    flat = Members(same, torch.arange(6) % C, C, lambda x: x[:, 0, 0, :1])  # a space in which all are one
    with pytest.raises(InputError, match=r"^Images of class 0 are the same in the space"):
        likeliest_sigma(flat, 0)
