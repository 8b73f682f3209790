"""What tests of stores share: a toy data set, digests of files, and damages with the sentence that has to tell of them."""

import hashlib
import shutil
import stat

import numpy as np
import torch
import zarr
from hypothesis import HealthCheck, settings

from pag.data.datasets import Dataset, LabelledImages

N, C, H, W, CH = 7, 3, 2, 4, 3

# A fresh folder is made for each example; nothing else of the fixture carries over.
on_disk = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def dataset_of(seed=0, train=N, test=4, shape=(H, W, CH)):
    rng = np.random.default_rng(seed)
    parts = [
        LabelledImages(rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.integers(0, C, n)) for n in (train, test)
    ]
    return Dataset("toy", *parts, ("ant", "bee", "cat"), "drawn for this test"), rng.random(train) < 0.4


def digests(path):
    """A digest of every file of a folder, by its path in it."""
    files = (f for f in sorted(path.rglob("*")) if f.is_file())
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def fresh(tmp_path, name="store.zarr"):
    path = tmp_path / name
    shutil.rmtree(path, ignore_errors=True)
    return path


def channels_first(images):
    return torch.from_numpy(np.moveaxis(images, -1, -3).copy())


def make_read_only(path):  # root may write all the same; CI runs as another user
    for p in (path, *path.rglob("*")):
        p.chmod(p.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


def damage_missing(path):
    shutil.rmtree(path)


def damage_no_group(path):
    (path / "zarr.json").unlink()


def damage_json(text):
    return lambda path: (path / "zarr.json").write_text(text)


def damage_attribute(name):
    def damage(path):
        group = zarr.open_group(path, mode="r+")
        group.attrs.pop(name)

    return damage


def set_attribute(name, value):
    def damage(path):
        zarr.open_group(path, mode="r+").attrs[name] = value

    return damage


def damage_text(file, old, new):
    def damage(path):
        text = (path / file).read_text()
        assert old in text
        (path / file).write_text(text.replace(old, new, 1))

    return damage


def replace_array(name, values):
    def damage(path):
        group = zarr.open_group(path, mode="r+")
        del group[name]
        group.create_array(name, data=values)

    return damage


def remove_array(name):
    return lambda path: shutil.rmtree(path / name)


def assert_one_sentence(error, path):
    text = str(error)
    assert str(path) in text
    assert text.endswith(".")
    assert "\n" not in text
