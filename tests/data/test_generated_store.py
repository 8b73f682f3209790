"""Laws of the store of generated images: what is read is what was written, and what is damaged or of others is refused."""

import numpy as np
import pytest
import torch
from stored import (
    CH,
    C,
    H,
    W,
    assert_one_sentence,
    damage_attribute,
    damage_json,
    damage_missing,
    dataset_of,
    digests,
    remove_array,
    replace_array,
    set_attribute,
)

from pag.base.errors import InputError
from pag.data.generated_store import GeneratedImages, write_generated
from pag.data.image_store import ImageStore, write_images

M = 9
IMAGES = np.random.default_rng(0).integers(0, 256, (M, H, W, CH), dtype=np.uint8)
LABELS = np.arange(M) % C


@pytest.fixture
def images(tmp_path):
    write_images(tmp_path / "images.zarr", *dataset_of())
    return ImageStore.open(tmp_path / "images.zarr")


def _write(path, images, labels=LABELS, values=IMAGES, num_classes=C):
    write_generated(path, values, labels, num_classes, images.checksum, "f" * 64)


def test_round_trip_to_the_same_bytes(tmp_path, images):
    for name in ("a.zarr", "b.zarr"):
        _write(tmp_path / name, images)
    assert digests(tmp_path / "a.zarr") == digests(tmp_path / "b.zarr")
    read = GeneratedImages.read(tmp_path / "a.zarr")
    assert np.array_equal(read.split.images.numpy().transpose(0, 2, 3, 1), IMAGES)
    assert torch.equal(read.split.labels, torch.from_numpy(LABELS))
    assert torch.equal(read.split.rows, torch.arange(M))
    read.check_matches(images)


def test_the_checksum_is_of_images_labels_and_what_they_were_made_from(tmp_path, images):
    other = IMAGES.copy()
    other[0, 0, 0, 0] ^= 1
    (tmp_path / "else").mkdir()
    write_images(tmp_path / "else/images.zarr", *dataset_of(1))
    elsewhere = ImageStore.open(tmp_path / "else/images.zarr")
    found = []
    for i, (source, labels, values) in enumerate(
        [(images, LABELS, IMAGES), (images, LABELS[::-1], IMAGES), (images, LABELS, other), (elsewhere, LABELS, IMAGES)]
    ):
        _write(tmp_path / f"{i}.zarr", source, labels, values)
        found.append(GeneratedImages.read(tmp_path / f"{i}.zarr"))
    assert len({store.checksum for store in found}) == 4
    with pytest.raises(InputError, match=r"3\.zarr was made from other images than .*images\.zarr holds"):
        found[3].check_matches(images)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"num_classes": C + 1}, r"\(4, 3, 2, 4\), and .*images\.zarr of \(3, 3, 2, 4\)"),
        ({"values": IMAGES[:, :, :2]}, r"\(3, 3, 2, 2\), and"),
        ({"values": IMAGES[..., :1]}, r"\(3, 1, 2, 4\), and"),
    ],
)
def test_images_of_other_classes_or_shapes_are_refused(tmp_path, images, changed, told):
    _write(tmp_path / "g.zarr", images, **changed)
    with pytest.raises(InputError, match=told):
        GeneratedImages.read(tmp_path / "g.zarr").check_matches(images)


@pytest.mark.parametrize(
    "damage",
    [
        damage_missing,
        damage_json("{"),
        damage_attribute("checksum"),
        damage_attribute("num_classes"),
        set_attribute("trained_on", 3),
        set_attribute("num_classes", C - 1),
        remove_array("labels"),
        replace_array("labels", LABELS[:-1]),
        replace_array("images", IMAGES[:0]),
    ],
)
def test_damage_is_told_in_one_sentence(tmp_path, images, damage):
    path = tmp_path / "g.zarr"
    _write(path, images)
    damage(path)
    with pytest.raises(InputError) as error:
        GeneratedImages.read(path)
    assert_one_sentence(error.value, path)
