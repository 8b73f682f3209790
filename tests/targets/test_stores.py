"""Target stores: what is written is read, the bytes are the same each time, damage is told in one sentence."""

from itertools import product

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import (
    CH,
    C,
    H,
    N,
    W,
    assert_one_sentence,
    channels_first,
    damage_attribute,
    damage_json,
    damage_missing,
    damage_no_group,
    dataset_of,
    digests,
    fresh,
    make_read_only,
    on_disk,
    remove_array,
    replace_array,
    set_attribute,
)

from pag.base.errors import InputError
from pag.data.image_store import ImageStore, pixels, write_images
from pag.targets.gradient_store import create_gradients, shard_rows, write_shard
from pag.targets.heuristic_store import write_nearest, write_neighbors, write_representatives
from pag.targets.kinds import open_targets


def _gradients(seed=0, shape=(N, C, CH, H, W)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _write_gradients(path, gradients, shard_size, order=None, **kept_as):
    create_gradients(path, gradients.shape, shard_size, **kept_as)
    shards = shard_rows(len(gradients), shard_size)
    for shard in range(len(shards)) if order is None else order:
        rows = shards[shard]
        write_shard(path, shard, gradients[rows.start : rows.stop])


def _batch(seed, size, k):
    """Rows, classes and images; rows may come twice, as in the last batch of one epoch and the first of the next."""
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy(rng.integers(0, N, size))
    classes = torch.from_numpy(np.stack([rng.permutation(C)[:k] for _ in range(size)]))
    return rows, classes, torch.from_numpy(rng.random((size, CH, H, W), dtype=np.float32))


def _heuristic(seed, kind, relative_to, path):
    """Writes a heuristic store; returns its `r_c(x)` for all rows `(N, C, ch, H, W)`, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, C, N)
    if kind == "representatives":
        r = rng.random((C, H, W, CH), dtype=np.float32)
        write_representatives(path, r, relative_to, labels)
        return channels_first(r).expand(N, -1, -1, -1, -1), labels
    if kind == "neighbors":
        return _weighted(rng, relative_to, path, labels), labels
    pool, nearest = rng.integers(0, 256, (5, H, W, CH), dtype=np.uint8), rng.integers(0, 5, (N, C), dtype=np.int32)
    write_nearest(path, pool, nearest, relative_to, labels)
    return pixels(channels_first(pool[nearest])), labels


def _weighted(rng, relative_to, path, labels):
    """Writes four weighted neighbours of each image and class, and of no class where that is asked for; gives their means."""
    shape = (N, C + (relative_to == "unconditional"), 4)
    pool, neighbors = rng.integers(0, 256, (5, H, W, CH), dtype=np.uint8), rng.integers(0, 5, shape, dtype=np.int32)
    weights = rng.dirichlet(np.ones(4), shape[:2]).astype(np.float32)
    write_neighbors(path, pool, neighbors, weights, relative_to, labels)
    members = pixels(channels_first(pool[neighbors]))
    return torch.einsum("nckhij,nck->nchij", members, torch.from_numpy(weights))


def _by_definition(r, labels, relative_to, x, row, c):
    """g(x, c) of one image and class, term by term."""
    y = int(labels[row])
    if relative_to == "image":
        return r[row, c] - x
    if relative_to == "unconditional":
        return r[row, c] - r[row, C]
    others = [r[row, other] - r[row, y] for other in range(C) if other != y]
    return -sum(others) / len(others) if c == y else r[row, c] - r[row, y]


@pytest.mark.parametrize(
    ("kind", "relative_to"),
    [*product(("representatives", "nearest", "neighbors"), ("image", "own_class")), ("neighbors", "unconditional")],
)
@on_disk
@given(seed=st.integers(0, 10**6), size=st.integers(1, 6), k=st.integers(1, C))
def test_heuristic_targets_are_their_definition(tmp_path, kind, relative_to, seed, size, k):
    path = fresh(tmp_path)
    r, labels = _heuristic(seed, kind, relative_to, path)
    rows, classes, images = _batch(seed, size, k)
    g = open_targets(path).gather(rows, classes, images)
    assert g.shape == (size, k, CH, H, W)
    assert g.dtype == torch.float32
    for i in range(size):
        for j in range(k):
            row, c = int(rows[i]), int(classes[i, j])
            expected = _by_definition(r, labels, relative_to, images[i], row, c)
            torch.testing.assert_close(g[i, j], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["representatives", "nearest", "neighbors"])
def test_own_class_target_is_minus_the_mean_of_the_others(tmp_path, kind):
    _, labels = _heuristic(3, kind, "own_class", tmp_path / "s.zarr")
    images = torch.zeros(N, CH, H, W)
    rows, classes = torch.arange(N), torch.arange(C).expand(N, -1)
    g = open_targets(tmp_path / "s.zarr").gather(rows, classes, images)
    own = g[rows, torch.from_numpy(labels)]
    torch.testing.assert_close(own, -(g.sum(dim=1) - own) / (C - 1), rtol=0, atol=1e-6)
    other_images = open_targets(tmp_path / "s.zarr").gather(rows, classes, images + 0.5)
    assert torch.equal(g, other_images)  # the image's own pixels play no part


@on_disk
@given(seed=st.integers(0, 10**6), shard_size=st.integers(1, 9), size=st.integers(1, 6), k=st.integers(1, C))
def test_gradients_are_what_was_written_read_whole_or_not(tmp_path, seed, shard_size, size, k):
    path, gradients = fresh(tmp_path), _gradients(seed)
    _write_gradients(path, gradients, shard_size)
    rows, classes, images = _batch(seed, size, k)
    expected = torch.from_numpy(gradients.astype(np.float16).astype(np.float32))[rows[:, None], classes]
    for preload in (True, False):
        store = open_targets(path, preload=preload)
        assert (store.num_images, store.num_classes, store.image_shape) == (N, C, (CH, H, W))
        g = store.gather(rows, classes, images)
        assert g.dtype == torch.float32
        assert torch.equal(g, expected)


def test_one_image_a_chunk_inside_shards(tmp_path):
    _write_gradients(tmp_path / "g.zarr", _gradients(), 3)
    array = zarr.open_array(tmp_path / "g.zarr" / "gradients", mode="r")
    assert array.chunks == (1, C, CH, H, W)
    assert array.shards == (3, C, CH, H, W)
    assert zarr.open_group(tmp_path / "g.zarr", mode="r").attrs.asdict() == {"kind": "gradients", "num_classes": C}


@given(st.integers(0, 50), st.integers(1, 20))
def test_shards_share_out_the_rows(num_images, shard_size):
    shards = shard_rows(num_images, shard_size)
    assert [row for rows in shards for row in rows] == list(range(num_images))
    assert all(len(rows) == shard_size for rows in shards[:-1])


@settings(on_disk, max_examples=8)
@given(order=st.permutations(range(4)), again=st.sampled_from([None, 0, 3]))
def test_order_of_shards_changes_no_byte(tmp_path, order, again):
    reference, path = tmp_path / "reference.zarr", fresh(tmp_path)
    if not reference.exists():
        _write_gradients(reference, _gradients(), 2)
    _write_gradients(path, _gradients(), 2, order if again is None else [*order, again])
    assert digests(path) == digests(reference)


@on_disk
@given(seed=st.integers(0, 10**6), shard_size=st.integers(1, 9), size=st.integers(1, 6), m=st.integers(1, C))
@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_gradients_of_some_classes_are_those_of_the_store_of_all(tmp_path, dtype, seed, shard_size, size, m):
    whole, some, gradients = fresh(tmp_path), fresh(tmp_path, "some.zarr"), _gradients(seed)
    rng = np.random.default_rng(seed)
    chosen = np.sort(np.stack([rng.permutation(C)[:m] for _ in range(N)]), axis=1)
    _write_gradients(whole, gradients, shard_size, dtype=dtype)
    _write_gradients(
        some, gradients[np.arange(N)[:, None], chosen], shard_size, dtype=dtype, classes=chosen, num_classes=C
    )
    rows, _, images = _batch(seed, size, 1)
    for preload in (True, False):
        store = open_targets(some, preload=preload)
        assert (store.num_images, store.num_classes, store.classes_per_image) == (N, C, m)
        classes = store.stored_classes(rows)
        assert torch.equal(classes, torch.from_numpy(chosen)[rows])
        for wanted in (classes, classes.flip(1), classes[:, :1]):
            expected = open_targets(whole, preload=preload).gather(rows, wanted, images)
            assert torch.equal(store.gather(rows, wanted, images), expected)
    if m < C:
        other = torch.tensor([[next(c for c in range(C) if c not in row)] for row in chosen])[rows]
        with pytest.raises(InputError, match=f"holds gradients of {m} classes"):
            store.gather(rows, other, images)


@given(seed=st.integers(0, 10**6), exponent=st.integers(-20, 20))
def test_int8_is_within_half_a_level_of_the_largest_value(tmp_path_factory, seed, exponent):
    path, gradients = tmp_path_factory.mktemp("int8") / "g.zarr", _gradients(seed) * np.float32(10.0**exponent)
    gradients[0, 0] = 0
    _write_gradients(path, gradients, 3, dtype="int8")
    rows, classes = torch.arange(N), torch.arange(C).expand(N, -1)
    g = open_targets(path).gather(rows, classes, torch.empty(0))
    wanted = torch.from_numpy(gradients)
    level = wanted.abs().amax(dim=(2, 3, 4), keepdim=True) / 127
    assert ((g - wanted).abs() <= 0.5001 * level).all()
    assert torch.equal(g[0, 0], wanted[0, 0])


GRADIENT_DAMAGES = {
    "no scales": remove_array("scales"),
    "infinite scale": replace_array("scales", np.full((N, 2), np.inf, np.float32)),
    "scales of fewer": replace_array("scales", np.ones((N, 1), np.float32)),
    "no classes": remove_array("classes"),
    "classes outside": replace_array("classes", np.full((N, 2), C)),
    "classes of fewer": replace_array("classes", np.zeros((N - 1, 2), np.int64)),
}


@pytest.mark.parametrize("damage", GRADIENT_DAMAGES)
def test_damaged_store_of_some_classes_is_named(tmp_path, damage):
    path, classes = tmp_path / "g.zarr", np.tile([0, C - 1], (N, 1))
    _write_gradients(path, _gradients()[:, :2], N, dtype="int8", classes=classes, num_classes=C)
    GRADIENT_DAMAGES[damage](path)
    with pytest.raises(InputError) as caught:
        open_targets(path)
    assert_one_sentence(caught.value, path)


@pytest.mark.parametrize("relative_to", ["image", "own_class"])
@pytest.mark.parametrize("kind", ["representatives", "nearest", "neighbors"])
def test_heuristic_stores_rewritten_are_the_same_bytes(tmp_path, kind, relative_to):
    for name in ("a", "b"):
        _heuristic(0, kind, relative_to, tmp_path / name)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_write_shard_refuses_other_shapes_and_overflow(tmp_path):
    path = tmp_path / "g.zarr"
    create_gradients(path, (N, C, CH, H, W), 3)
    with pytest.raises(InputError, match="shard 2"):
        write_shard(path, 2, np.zeros((3, C, CH, H, W)))  # the last shard has one row
    for value in (1e6, np.nan, -np.inf):
        with pytest.raises(InputError, match="shard 0 are not finite"):
            write_shard(path, 0, np.full((3, C, CH, H, W), value))
    assert digests(path).keys() == {"zarr.json", "gradients/zarr.json"}


@pytest.mark.parametrize("written", [[], [0], [0, 2], [1, 2]])
@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("preload", [True, False])
def test_unfinished_gradients_are_named(tmp_path, written, dtype, preload):
    path = tmp_path / "g.zarr"
    _write_gradients(path, _gradients(), 3, written, dtype=dtype)
    with pytest.raises(InputError, match="unfinished") as caught:
        open_targets(path, preload)
    assert_one_sentence(caught.value, path)


@pytest.mark.parametrize("preload", [True, False])
def test_cut_shard_is_named(tmp_path, preload):
    path = tmp_path / "g.zarr"
    _write_gradients(path, _gradients(), N)
    (shard,) = (p for p in (path / "gradients" / "c").rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(InputError) as caught:
        open_targets(path, preload).gather(*_batch(0, 3, 2))
    assert_one_sentence(caught.value, path)


HEURISTIC_DAMAGES = {
    "missing": damage_missing,
    "no group": damage_no_group,
    "list": damage_json("[]"),
    "no kind": damage_attribute("kind"),
    "no relation": damage_attribute("relative_to"),
    "no labels": remove_array("labels"),
    "labels outside": replace_array("labels", np.full(N, C)),
    "int32 labels": replace_array("labels", np.zeros(N, np.int32)),
    "fewer labels": replace_array("labels", np.zeros(N - 1, np.int64)),
    "no pool": remove_array("pool"),
    "cut labels": lambda path: (path / "labels" / "c" / "0").write_bytes(b"x"),
    "lost labels": lambda path: (path / "labels" / "c" / "0").unlink(),
    "flat pool": replace_array("pool", np.zeros((5, 4), np.uint8)),
    "neighbours outside": replace_array("nearest", np.full((N, C), 5, np.int32)),
    "negative neighbours": replace_array("nearest", np.full((N, C), -1, np.int32)),
}


@pytest.mark.parametrize("damage", HEURISTIC_DAMAGES.values(), ids=HEURISTIC_DAMAGES.keys())
def test_damaged_target_store_is_named(tmp_path, damage):
    path = tmp_path / "targets.zarr"
    _heuristic(0, "nearest", "own_class", path)
    damage(path)
    with pytest.raises(InputError) as caught:
        open_targets(path)
    assert_one_sentence(caught.value, path)


NEIGHBORS = (N, C, 4)
WEIGHTED_DAMAGES = {
    "no labels": remove_array("labels"),
    "fewer labels": replace_array("labels", np.zeros(N - 1, np.int64)),
    "no weights": remove_array("weights"),
    "other weights": replace_array("weights", np.ones((N, C, 3), np.float32)),
    "negative weights": replace_array("weights", np.full(NEIGHBORS, -1, np.float32)),
    "weights that are no numbers": replace_array("weights", np.full(NEIGHBORS, np.nan, np.float32)),
    "neighbours outside": replace_array("neighbors", np.full(NEIGHBORS, 5, np.int32)),
    "no neighbours": replace_array("neighbors", np.zeros((N, C, 0), np.int32)),
    "another relation": set_attribute("relative_to", ["own_class"]),
}


@pytest.mark.parametrize("damage", WEIGHTED_DAMAGES.values(), ids=WEIGHTED_DAMAGES.keys())
def test_damaged_store_of_weighted_neighbours_is_named(tmp_path, damage):
    path = tmp_path / "targets.zarr"
    _heuristic(0, "neighbors", "own_class", path)
    damage(path)
    with pytest.raises(InputError) as caught:
        open_targets(path)
    assert_one_sentence(caught.value, path)


def test_representatives_of_classes_alone_are_relative_to_none_without(tmp_path):
    _heuristic(0, "nearest", "unconditional", tmp_path / "s.zarr")
    with pytest.raises(InputError, match="relative to 'unconditional'"):
        open_targets(tmp_path / "s.zarr")


@pytest.mark.parametrize(("kind", "relative_to"), [("gradients", ""), ("representatives", "own_class"), ("other", "")])
def test_kind_whose_arrays_are_missing_is_named(tmp_path, kind, relative_to):
    path = tmp_path / "targets.zarr"
    zarr.create_group(path, attributes={"kind": kind, "relative_to": relative_to})
    with pytest.raises(InputError) as caught:
        open_targets(path)
    assert_one_sentence(caught.value, path)


def test_unknown_relation_is_named(tmp_path):
    _heuristic(0, "nearest", "the moon", tmp_path / "s.zarr")
    with pytest.raises(InputError, match="the moon"):
        open_targets(tmp_path / "s.zarr")


@pytest.mark.parametrize(
    ("kind", "relative_to", "num_images"),
    [("representatives", "image", None), ("representatives", "own_class", N), ("nearest", "image", N)],
)
def test_check_matches(tmp_path, kind, relative_to, num_images):
    path = tmp_path / "s.zarr"
    _heuristic(0, kind, relative_to, path)
    store = open_targets(path)
    assert store.num_images == num_images
    store.check_matches(N, C, (CH, H, W))
    wrong = [(N, C + 1, (CH, H, W)), (N, C, (CH, W, H))] + [(N + 1, C, (CH, H, W))] * (num_images is not None)
    for n, c, shape in wrong:
        with pytest.raises(InputError) as caught:
            store.check_matches(n, c, shape)
        assert_one_sentence(caught.value, path)
        assert str((n, c, *shape)) in str(caught.value)
        assert str((N, C, CH, H, W)) in str(caught.value) or n != N


def test_read_only_stores_can_be_read(tmp_path):
    image_store = tmp_path / "images.zarr"
    write_images(image_store, *dataset_of())
    _write_gradients(tmp_path / "g.zarr", _gradients(), 3)
    paths = [image_store, tmp_path / "g.zarr"]
    before = [digests(path) for path in paths]
    for path in paths:
        make_read_only(path)
    for name in ("train", "validation", "test"):
        ImageStore.open(image_store).split(name)
    for preload in (True, False):
        open_targets(tmp_path / "g.zarr", preload).gather(*_batch(0, 2, 2))
    assert [digests(path) for path in paths] == before
