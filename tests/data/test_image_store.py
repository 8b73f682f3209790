"""Image stores: what is written is read, the bytes are the same each time, damage is told in one sentence."""

import hashlib
import shutil

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given
from hypothesis import strategies as st
from stored import (
    CH,
    H,
    N,
    W,
    assert_one_sentence,
    channels_first,
    damage_attribute,
    damage_json,
    damage_missing,
    damage_no_group,
    damage_text,
    dataset_of,
    digests,
    fresh,
    on_disk,
    remove_array,
    replace_array,
    set_attribute,
)

from pag.base.errors import InputError
from pag.data.datasets import Dataset, LabelledImages
from pag.data.image_store import ImageStore, Split, pixels, write_images


@pytest.fixture
def image_store(tmp_path):
    path = tmp_path / "images.zarr"
    write_images(path, *dataset_of())
    return path


@on_disk
@given(seed=st.integers(0, 10**6), train=st.integers(1, 9), test=st.integers(1, 5), side=st.integers(1, 3))
def test_images_round_trip(tmp_path, seed, train, test, side):
    dataset, validation = dataset_of(seed, train, test, (side, 2, 3))
    path = fresh(tmp_path)
    write_images(path, dataset, validation)
    store = ImageStore.open(path)
    assert (store.class_names, store.num_classes) == (dataset.class_names, 3)
    assert store.image_shape == (3, side, 2)
    every = np.arange(train)
    expected = {
        "train": (dataset.train, every[~validation]),
        "validation": (dataset.train, every[validation]),
        "test": (dataset.test, np.arange(test)),
    }
    for name, (part, rows) in expected.items():
        split = store.split(name)
        assert (split.images.dtype, split.labels.dtype, split.rows.dtype) == (torch.uint8, torch.int64, torch.int64)
        assert split.rows.tolist() == rows.tolist()
        assert torch.equal(split.images, channels_first(part.images[rows]))
        assert torch.equal(split.labels, torch.from_numpy(part.labels[rows]))
    assert torch.equal(store.all_training().images, channels_first(dataset.train.images))


def test_image_store_holds_what_the_design_says(image_store):
    dataset, validation = dataset_of()
    group = zarr.open_group(image_store, mode="r")
    np.testing.assert_array_equal(group["train/images"][:], dataset.train.images)
    np.testing.assert_array_equal(group["train/validation"][:], validation)
    np.testing.assert_array_equal(group["test/labels"][:], dataset.test.labels)
    raw = b"".join(part.images.tobytes() + part.labels.tobytes() for part in (dataset.train, dataset.test))
    assert group.attrs["checksum"] == hashlib.sha256(raw).hexdigest()
    assert group.attrs["source"] == dataset.source
    assert group.metadata.zarr_format == 3


def test_images_rewritten_are_the_same_bytes(image_store, tmp_path):
    write_images(tmp_path / "again.zarr", *dataset_of())
    assert digests(image_store) == digests(tmp_path / "again.zarr")
    write_images(tmp_path / "other.zarr", *dataset_of(seed=1))
    assert digests(image_store) != digests(tmp_path / "other.zarr")


def test_all_zeros_are_written_and_read(tmp_path):
    zeros = LabelledImages(np.zeros((4, H, W, CH), np.uint8), np.zeros(4, np.int64))
    write_images(tmp_path / "zeros.zarr", Dataset("zeros", zeros, zeros, ("a",), ""), np.zeros(4, bool))
    store = ImageStore.open(tmp_path / "zeros.zarr")
    assert len(store.split("train").rows) == 4
    assert len(store.split("validation").rows) == 0


def test_large_arrays_are_stored_in_blocks_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("pag.data.zarr_store.CHUNK_BYTES", 3 * H * W * CH)
    dataset, validation = dataset_of()
    write_images(tmp_path / "images.zarr", dataset, validation)
    assert zarr.open_array(tmp_path / "images.zarr/train/images").chunks == (3, H, W, CH)
    assert zarr.open_array(tmp_path / "images.zarr/train/labels").chunks == (N,)
    store = ImageStore.open(tmp_path / "images.zarr")
    assert torch.equal(store.all_training().images, channels_first(dataset.train.images))
    assert torch.equal(store.split("test").images, channels_first(dataset.test.images))
    shutil.rmtree(tmp_path / "images.zarr/train/images/c/1")
    with pytest.raises(InputError, match="unfinished"):
        store.split("train")


def test_first_of_classes_are_positions_in_the_split_in_order_of_the_classes():
    labels = torch.tensor([2, 0, 2, 4, 0, 4])
    split = Split(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), labels, 10 + torch.arange(6))
    assert split.first_of_classes(2).tolist() == [1, 0]
    assert split.first_of_classes(9).tolist() == [1, 0, 3]  # as many as there are


def test_pixels():
    x = pixels(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert x.dtype == torch.float32
    assert torch.equal(x, torch.tensor([0.0, 0.2, 1.0]))


@pytest.mark.parametrize(("read", "other"), [(("train", "validation"), "test"), (("test",), "train")])
def test_a_split_reads_no_array_of_the_other(image_store, read, other):
    for chunk in (image_store / other).rglob("c/*"):
        if chunk.is_file():
            chunk.write_bytes(b"not a chunk")
    shutil.rmtree(image_store / other / "images" / "c")
    store = ImageStore.open(image_store)
    for name in read:
        store.split(name)
    with pytest.raises(InputError, match=r"images\.zarr"):
        store.split(other)


IMAGE_DAMAGES = {
    "missing": damage_missing,
    "no group": damage_no_group,
    "cut": damage_json('{"zarr_format": 3,'),
    "list": damage_json("[]"),
    "number": damage_json("3"),
    "no checksum": damage_attribute("checksum"),
    "no class names": damage_attribute("class_names"),
    "no images": remove_array("test/images"),
    "no mask": remove_array("train/validation"),
    "float images": replace_array("train/images", np.zeros((N, H, W, CH), np.float32)),
    "flat images": replace_array("train/images", np.zeros((N, H * W * CH), np.uint8)),
    "int32 labels": replace_array("test/labels", np.zeros(4, np.int32)),
    "fewer labels": replace_array("test/labels", np.zeros(3, np.int64)),
    "int mask": replace_array("train/validation", np.zeros(N, np.uint8)),
    "short mask": replace_array("train/validation", np.zeros(N - 1, bool)),
    "class names as text": set_attribute("class_names", "abc"),
    "class names as numbers": set_attribute("class_names", [1, 2, 3]),
    "checksum as number": set_attribute("checksum", 3),
    "no row": replace_array("test/images", np.zeros((0, H, W, CH), np.uint8)),
    "negative shape": damage_text("train/images/zarr.json", f"{N},", f"{-N},"),
    "other test shape": replace_array("test/images", np.zeros((4, H + 1, W, CH), np.uint8)),
}


@pytest.mark.parametrize("damage", IMAGE_DAMAGES.values(), ids=IMAGE_DAMAGES.keys())
def test_damaged_image_store_is_named(image_store, damage):
    damage(image_store)
    with pytest.raises(InputError) as caught:
        ImageStore.open(image_store)
    assert_one_sentence(caught.value, image_store)


def flipped(path, byte, bit):
    data = bytearray(path.read_bytes())
    data[byte % len(data)] ^= 1 << bit
    path.write_bytes(data)


@on_disk
@given(array=st.sampled_from(["images", "labels", "validation"]), byte=st.integers(0, 10**4), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_read(tmp_path, array, byte, bit):
    path = fresh(tmp_path)
    write_images(path, *dataset_of())
    before = ImageStore.open(path).all_training()
    flipped(next(file for file in (path / f"train/{array}/c").rglob("*") if file.is_file()), byte, bit)
    store = ImageStore.open(path)
    try:
        after = store.all_training() if array != "validation" else store.split("train")
    except InputError as error:
        assert_one_sentence(error, path)
    else:  # in what the compressor passes over
        assert torch.equal(after.images[: len(before.rows)], before.images[after.rows])
        assert torch.equal(after.labels, before.labels[after.rows])


def test_values_are_compared_with_what_was_written_and_not_with_a_flipped_bit_alone(image_store, tmp_path):
    write_images(tmp_path / "other.zarr", *dataset_of(seed=1))
    for part in ("train", "test"):  # a copy that was broken off: metadata of one, values of another
        shutil.rmtree(image_store / part / "images/c")
        shutil.copytree(tmp_path / "other.zarr" / part / "images/c", image_store / part / "images/c")
        with pytest.raises(InputError, match=f"has other values in '{part}/images' than were written"):
            ImageStore.open(image_store).split(part)


def test_labels_without_a_name_are_refused(tmp_path):
    part = LabelledImages(np.zeros((4, H, W, CH), np.uint8), np.array([0, 1, 2, 3]))
    write_images(tmp_path / "images.zarr", Dataset("made up", part, part, ("a", "b", "c"), ""), np.zeros(4, bool))
    with pytest.raises(InputError, match=r"images\.zarr has test/labels outside 0 … 2"):
        ImageStore.open(tmp_path / "images.zarr").split("test")


def test_a_store_from_before_arrays_had_digests_is_compared_with_its_checksum(image_store):
    for array in zarr.open_group(image_store, mode="r+").members(max_depth=None):
        if isinstance(array[1], zarr.Array):
            array[1].attrs.clear()
    assert len(ImageStore.open(image_store).split("test").rows) == 4
    replace_array("test/labels", np.ones(4, np.int64))(image_store)
    with pytest.raises(InputError, match="has other images or labels than its checksum is of"):
        ImageStore.open(image_store)
