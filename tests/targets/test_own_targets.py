"""Laws of target gradients by a function of one's own: they are what it gives, whoever asks in what order."""

import sys

import numpy as np
import pytest
import torch

from extensions.targets.prototypes import toward_prototypes
from pag.base.errors import InputError
from pag.data.datasets import Dataset, LabelledImages
from pag.data.image_store import ImageStore, pixels, write_images
from pag.targets.kinds import open_targets
from pag.targets.own import OwnTargets
from pag.targets.store import Origin

CLASSES = 3


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(24) % CLASSES
    parts = [LabelledImages(rng.integers(0, 256, (24, 5, 4, 3), dtype=np.uint8), labels) for _ in range(2)]
    write_images(
        tmp_path / "images.zarr", Dataset("toy", *parts, ("ant", "bee", "cat"), "drawn"), np.arange(24) % 4 == 3
    )
    return ImageStore.open(tmp_path / "images.zarr")


def own(store, function, **options):
    return OwnTargets("mine:f", function, options, store.split("train"), store.num_classes, 7)


def test_the_store_holds_what_the_function_gives(store, tmp_path):
    targets = own(store, toward_prototypes, scale=0.5)
    queries, origin = store.all_training(), Origin(store.checksum, "train")
    targets.write(tmp_path / "own.zarr", queries, origin, "float16", 4, "targets.mine.shard_size", tmp_path)
    stored, rows = open_targets(tmp_path / "own.zarr"), torch.arange(store.num_training)
    x, y = pixels(queries.images[:]), queries.labels
    every = torch.arange(CLASSES).expand(len(rows), -1)
    train = store.split("train")
    expected = toward_prototypes(pixels(train.images[:]), train.labels, CLASSES, 7, scale=0.5)(x, y)
    assert torch.allclose(stored.gather(rows, every, x), expected, atol=2e-3)
    stored.check_matches(store.num_training, CLASSES, store.image_shape, origin)


def test_an_image_has_the_same_gradients_whatever_it_is_asked_with(store):
    targets, train = own(store, toward_prototypes), store.split("train")
    x, y = pixels(train.images[:]), train.labels
    assert torch.equal(targets.at(x, y)[2:4], targets.at(x[2:4], y[2:4]))


def test_prototypes_point_toward_the_class(store):
    """The gradient toward a class less that toward another is the difference of their means."""
    train = store.split("train")
    x, y = pixels(train.images[:]), train.labels
    g = own(store, toward_prototypes).at(x, y)
    means = [x[y == c].mean(0) for c in range(2)]
    assert torch.allclose(g[:, 0] - g[:, 1], (means[0] - means[1]).expand(len(x), *means[0].shape), atol=1e-6)


def shape(x):
    return len(x), CLASSES, *x.shape[1:]


def test_a_function_may_change_what_it_is_given(store):
    train = store.split("train")
    x = pixels(train.images[:5])
    given = x.clone()
    g = own(store, lambda *_: lambda x, y: x.sub_(0.5)[:, None].expand(shape(x))).at(x, train.labels[:5])
    assert torch.equal(x, given)
    assert torch.equal(g[:, 0], given - 0.5)


REFUSED = {
    "that fails": (lambda *_: 1 / 0, r"mine:f fails \(ZeroDivisionError: division by zero\)"),
    "of nothing": (lambda *_: None, "mine:f gives a NoneType, not a function of images and labels"),
    "of another shape": (
        lambda *_: lambda x, y: x,
        r"mine:f gives torch.float32 of shape \(5, .*\), not floating-point",
    ),
    "of integers": (
        lambda *_: lambda x, y: torch.zeros(shape(x), dtype=torch.int64),
        "mine:f gives torch.int64 of shape",
    ),
    "of NumPy": (lambda *_: lambda x, y: np.zeros(shape(x)), "mine:f gives a ndarray, not floating-point"),
    "that ends the program": (lambda *_: sys.exit("no"), r"mine:f fails \(SystemExit: no\)"),
    "that is sparse": (
        lambda *_: lambda x, y: torch.zeros(shape(x)).to_sparse(),
        "gives torch.sparse_coo gradients, not dense",
    ),
    "without values": (lambda *_: lambda x, y: torch.zeros(shape(x), device="meta"), "gives meta gradients, not dense"),
    "that is not finite": (lambda *_: lambda x, y: torch.full(shape(x), torch.nan), "gradients that are not finite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_function_is_refused(store, name):
    function, message = REFUSED[name]
    train = store.split("train")
    with pytest.raises(InputError, match=message):
        own(store, function).at(pixels(train.images[:5]), train.labels[:5])


@pytest.mark.parametrize("of_others", [torch.mean, lambda x, *_, **__: torch.rand(())])
def test_gradients_that_depend_on_the_other_images_or_on_chance_are_refused(store, tmp_path, of_others):
    def function(*_):
        return lambda x, y: (x - of_others(x, 0, keepdim=True))[:, None].expand(shape(x))

    targets, queries = own(store, function), store.all_training()
    with pytest.raises(InputError, match="mine:f gives an image other gradients when it is asked for alone"):
        targets.write(tmp_path / "own.zarr", queries, Origin(store.checksum, "train"), "float16", 4, "key", tmp_path)
    assert not (tmp_path / "own.zarr").exists()


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_gradients_too_small_for_float16_are_told_and_kept_as_int8(store, tmp_path, dtype):
    targets, queries = own(store, lambda *_: lambda x, y: 1e-8 * toward_one(x)), store.all_training()
    given = (tmp_path / "own.zarr", queries, Origin(store.checksum, "train"), dtype, 4, "key", tmp_path)
    if dtype == "float16":
        with pytest.raises(InputError, match=r"mine:f gives gradients of at most 1e-08, too small for float16; scale"):
            targets.write(*given)
        return
    targets.write(*given)
    stored, rows = open_targets(tmp_path / "own.zarr"), torch.arange(store.num_training)
    x = pixels(queries.images[:])
    g = stored.gather(rows, torch.arange(CLASSES).expand(len(rows), -1), x)
    assert torch.allclose(1e8 * g, toward_one(x), atol=0.01)


def toward_one(x):
    """Of each class the same, with a largest value of 1."""
    one = x / x.flatten(1).amax(1)[:, None, None, None]
    return one[:, None].expand(shape(x))


def test_an_option_that_the_function_does_not_have_is_told(store):
    with pytest.raises(InputError, match=r"mine:f fails \(TypeError: .*'strength'"):
        own(store, toward_prototypes, strength=2.0)


def test_images_come_from_the_training_part_alone(store):
    seen = []
    own(store, lambda images, labels, *_: seen.append(len(images)) or (lambda x, y: x))
    assert seen == [len(store.split("train").rows)] < [store.num_training]
