"""Small data sets in the layouts of the real ones, for the tests of `pag.data.originals` and of `prepare`."""

import hashlib
import struct

import numpy as np
from PIL import Image

__all__ = ["md5", "write_cifar10", "write_cifar100", "write_image_folder", "write_stl10", "write_tiny_imagenet"]


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _python2_pickle(value):
    """The opcodes by which Python 2 and the NumPy of its time pickled a value: CIFAR's batches are such files."""
    if isinstance(value, dict):
        items = b"".join(_python2_pickle(key) + _python2_pickle(item) for key, item in value.items())
        return b"}(" + items + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(_python2_pickle(item) for item in value) + b"e"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, str):
        return b"T" + struct.pack("<i", len(value)) + value.encode("latin1")
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    shape = b"".join(_python2_pickle(n) for n in value.shape) + b"\x86"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
    data = b"T" + struct.pack("<i", value.nbytes) + value.tobytes()
    return empty + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb"


def _write_pickle(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x80\x02" + _python2_pickle(value) + b".")


def _draw(n, side, classes, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8), rng.permutation(np.arange(n) % classes)


def _cifar_rows(images):
    """A row an image: 1,024 values of red, then of green, then of blue."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(len(images), 3072))


def write_cifar10(root, monkeypatch):
    """`cifar-10-batches-py` with 4 images a batch, whose checksums torchvision is told.

    Returns images and labels of the training and of the test set, and the class names.
    """
    from torchvision.datasets import CIFAR10

    folder, classes = root / "cifar-10-batches-py", ["airplane", "automobile", "bird"]
    batches = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    parts = [_draw(4, 32, 3, seed) for seed in range(6)]
    for name, (images, labels) in zip(batches, parts, strict=True):
        files = [f"{i}.png" for i in range(4)]
        batch = {"batch_label": name, "labels": labels.tolist(), "data": _cifar_rows(images), "filenames": files}
        _write_pickle(folder / name, batch)
    meta = {"num_cases_per_batch": 4, "label_names": classes, "num_vis": 3072}
    _write_pickle(folder / "batches.meta", meta)
    sums = [[name, md5(folder / name)] for name in batches]
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(folder / "batches.meta")})
    train = tuple(np.concatenate([part[i] for part in parts[:5]]) for i in (0, 1))
    return train, parts[5], tuple(classes)


def write_cifar100(root, monkeypatch):
    """`cifar-100-python`, likewise; its fine labels are read."""
    from torchvision.datasets import CIFAR100

    folder, classes = root / "cifar-100-python", ["apple", "aquarium_fish", "baby", "bear"]
    parts = [_draw(8, 32, 4, 7), _draw(4, 32, 4, 8)]
    for name, (images, labels) in zip(("train", "test"), parts, strict=True):
        coarse = [0] * len(labels)
        batch = {"fine_labels": labels.tolist(), "coarse_labels": coarse, "data": _cifar_rows(images)}
        _write_pickle(folder / name, batch)
    _write_pickle(folder / "meta", {"fine_label_names": classes, "coarse_label_names": ["fish"]})
    monkeypatch.setattr(CIFAR100, "train_list", [["train", md5(folder / "train")]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", md5(folder / "test")]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": md5(folder / "meta")})
    return *parts, tuple(classes)


def write_stl10(root, monkeypatch):
    """`stl10_binary` without its unlabelled images: columns before rows, labels from 1."""
    from torchvision.datasets import STL10

    folder, classes = root / "stl10_binary", ["airplane", "bird"]
    folder.mkdir(parents=True)
    parts = [_draw(6, 96, 2, 9), _draw(4, 96, 2, 10)]
    for name, (images, labels) in zip(("train", "test"), parts, strict=True):
        images.transpose(0, 3, 2, 1).tofile(folder / f"{name}_X.bin")
        (labels + 1).astype(np.uint8).tofile(folder / f"{name}_y.bin")
    (folder / "class_names.txt").write_text("".join(f"{name}\n" for name in classes))
    train, test = (
        [[f"{name}_{kind}.bin", md5(folder / f"{name}_{kind}.bin")] for kind in "Xy"] for name in ("train", "test")
    )
    monkeypatch.setattr(STL10, "train_list", [*train, ["unlabeled_X.bin", "not looked at"]])
    monkeypatch.setattr(STL10, "test_list", test)
    return *parts, tuple(classes)


def _save_plain(path, color, mode="RGB", size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


def write_tiny_imagenet(root, per_class=3):
    """`tiny-imagenet-200` with 3 classes, images of one colour each. Returns the colours by file name, and wnids and names."""
    base, wnids, colors = root / "tiny-imagenet-200", ["n02", "n01", "n03"], {}
    (base / "test" / "images").mkdir(parents=True)
    _save_plain(base / "test" / "images" / "test_0.JPEG", (9, 9, 9))  # without a label: not read
    (base / "wnids.txt").write_text("\n".join(wnids))  # the last line without its end
    words = {"n00": "entity", "n01": "goldfish, Carassius auratus", "n02": "bullfrog, Rana", "n03": "brown bear"}
    (base / "words.txt").write_text("".join(f"{wnid}\t{name}\n" for wnid, name in words.items()))
    for c, wnid in enumerate(wnids):
        boxes = base / "train" / wnid / f"{wnid}_boxes.txt"
        for i in range(per_class):
            name, color = f"{wnid}_{i}.JPEG", (40 * i, 80 * c, 100)
            gray = i == 1  # as some of the real ones are
            _save_plain(boxes.parent / "images" / name, 120 if gray else color, "L" if gray else "RGB")
            colors[name] = (120, 120, 120) if gray else color
        boxes.write_text("".join(f"{wnid}_{i}.JPEG\t0\t0\t63\t63\n" for i in range(per_class)))
    rows = []
    for i, wnid in enumerate(["n03", "n02", "n01", "n02"]):
        colors[f"val_{i}.JPEG"] = (50, 60 * i, 10)
        _save_plain(base / "val" / "images" / f"val_{i}.JPEG", colors[f"val_{i}.JPEG"])
        rows.append(f"val_{i}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (base / "val" / "val_annotations.txt").write_text("".join(rows))
    return colors


def write_image_folder(base, train=3, test=2, side=8):
    """`train/<class>/…`, `test/<class>/…` with two classes of PNGs of random pixels; returns them by their path in `base`."""
    rng, images = np.random.default_rng(0), {}
    for part, count in (("train", train), ("test", test)):
        for name in ("cat", "dog"):
            (base / part / name).mkdir(parents=True)
            for i in range(count):
                path = f"{part}/{name}/{i:04}.png"
                images[path] = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
                Image.fromarray(images[path]).save(base / path)
    return images
