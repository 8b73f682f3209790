"""Each data set is read from files laid out as the real ones are, without the network; what is missing or damaged is told."""

import hashlib
import io
import os
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from original_files import md5, write_cifar10, write_cifar100, write_image_folder, write_stl10, write_tiny_imagenet
from PIL import Image
from refusals import outcome

from pag.base.errors import InputError
from pag.data.image_store import ImageStore
from pag.data.originals import Selection, open_original
from pag.data.originals.image_files import read_image
from stages import originals, prepare
from stages.params.reading import Params
from stages.paths import DatasetPaths

ALL = Selection(0)
PUBLISHED = {
    "cifar10": (write_cifar10, "CIFAR10", "cifar-10-batches-py", "cifar-10-python.tar.gz"),
    "cifar100": (write_cifar100, "CIFAR100", "cifar-100-python", "cifar-100-python.tar.gz"),
    "stl10": (write_stl10, "STL10", "stl10_binary", "stl10_binary.tar.gz"),
}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(url, **options):
        raise URLError("no network in tests")

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", refuse)


def _assert_part(part, images, labels):
    np.testing.assert_array_equal(part.images, images)
    np.testing.assert_array_equal(part.labels, labels)
    assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)
    assert part.images.flags.c_contiguous


@pytest.mark.parametrize("source", PUBLISHED)
def test_published_data_set_is_read_where_it_lies(tmp_path, monkeypatch, source):
    train, test, classes = PUBLISHED[source][0](tmp_path, monkeypatch)
    original = open_original(source, tmp_path, ALL)
    dataset = original.read()
    _assert_part(dataset.train, *train)
    _assert_part(dataset.test, *test)
    assert dataset.class_names == classes
    assert original.download_bytes == 0


@pytest.mark.parametrize("source", PUBLISHED)
def test_published_data_set_is_unpacked_from_its_archive(tmp_path, monkeypatch, source):
    from torchvision import datasets

    write, name, folder, archive = PUBLISHED[source]
    train, *_ = write(tmp_path / "made", monkeypatch)
    root = tmp_path / "root"
    root.mkdir()
    absent = open_original(source, root, ALL).download_bytes
    with tarfile.open(root / archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / folder, folder)
    monkeypatch.setattr(getattr(datasets, name), "tgz_md5", md5(root / archive))
    original = open_original(source, root, ALL)
    assert 0 < original.download_bytes < absent
    _assert_part(original.read().train, *train)


@pytest.mark.parametrize("source", [*PUBLISHED, "tiny_imagenet"])
def test_missing_data_set_without_network(tmp_path, source):
    names = {"tiny_imagenet": (None, None, "tiny-imagenet-200", "tiny-imagenet-200.zip"), **PUBLISHED}[source]
    with pytest.raises(InputError) as error:
        open_original(source, tmp_path / "downloads", ALL).read()
    sentence = str(error.value)
    for told in (str(tmp_path / "downloads" / names[2]), names[3], "no network in tests", "data root"):
        assert told in sentence
    assert "\n" not in sentence


def test_batch_whose_checksum_differs_is_not_unpickled(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match=r"CIFAR-10 .*cifar-10-batches-py is not there or not whole"):
        open_original("cifar10", tmp_path, ALL).read()
    assert not (tmp_path / "sprung").exists()


def test_reduced_published_data_set(tmp_path, monkeypatch):
    (images, labels), _, _ = write_cifar10(tmp_path, monkeypatch)
    selection = Selection(4, train=3, test=1)
    dataset = open_original("cifar10", tmp_path, selection).read()
    rows = selection.rows("train", labels)
    _assert_part(dataset.train, images[rows], labels[rows])
    assert np.bincount(dataset.test.labels).tolist() == [1, 1, 1]


def _assert_plain(images, colors):
    """JPEGs of one colour each, as near as JPEG comes to it."""
    expected = np.array(colors, dtype=np.int64)[:, None, None]
    assert np.abs(images.astype(np.int64) - expected).max() <= 3


def test_tiny_imagenet(tmp_path):
    colors = write_tiny_imagenet(tmp_path)
    original = open_original("tiny_imagenet", tmp_path, ALL)
    dataset = original.read()
    assert dataset.class_names == ("bullfrog", "goldfish", "brown bear")  # in the order of wnids.txt
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert dataset.test.labels.tolist() == [2, 0, 1, 0]
    assert dataset.train.images.shape == (9, 64, 64, 3)
    _assert_plain(
        dataset.train.images, [colors[f"{wnid}_{i}.JPEG"] for wnid in ("n02", "n01", "n03") for i in range(3)]
    )
    _assert_plain(dataset.test.images, [colors[f"val_{i}.JPEG"] for i in range(4)])
    assert original.download_bytes == 0


def test_tiny_imagenet_is_unpacked_from_its_archive(tmp_path, monkeypatch):
    write_tiny_imagenet(tmp_path / "made")
    root = tmp_path / "root"
    root.mkdir()
    archive = root / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((tmp_path / "made").rglob("*")):
            file.write(path, path.relative_to(tmp_path / "made"))
    monkeypatch.setattr("pag.data.originals.tiny_imagenet.MD5", md5(archive))
    dataset = open_original("tiny_imagenet", root, Selection(0, train=2)).read()
    assert np.bincount(dataset.train.labels).tolist() == [2, 2, 2]
    assert sorted(path.name for path in root.iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]


def test_interrupted_unpacking_of_tiny_imagenet_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(b"")
    monkeypatch.setattr("pag.data.originals.tiny_imagenet.MD5", md5(tmp_path / "tiny-imagenet-200.zip"))

    def interrupted(archive, folder):
        Path(folder, "tiny-imagenet-200").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr("torchvision.datasets.utils.extract_archive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_original("tiny_imagenet", tmp_path, ALL).read()
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-imagenet-200.zip"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda base: (base / "wnids.txt").unlink(), r"wnids\.txt cannot be read"),
        (lambda base: shutil.rmtree(base / "train" / "n01" / "images"), r"n01.images holds no image"),
        (lambda base: (base / "val" / "images" / "val_2.JPEG").unlink(), r"val_2\.JPEG cannot be read"),
        (lambda base: (base / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn09\n"), r"val_annotations\.txt, line 1"),
    ],
)  # fmt: skip
def test_damaged_tiny_imagenet(tmp_path, damage, told):
    write_tiny_imagenet(tmp_path)
    damage(tmp_path / "tiny-imagenet-200")
    with pytest.raises(InputError, match=told):
        open_original("tiny_imagenet", tmp_path, ALL).read()


def _folder(data_root, root="photos", selection=ALL, image_size=8, grayscale=False):
    return open_original("folder", data_root, selection, root=str(root), image_size=image_size, grayscale=grayscale)


def test_folder_takes_the_classes_in_turns(tmp_path):
    images = write_image_folder(tmp_path / "photos")
    original = _folder(tmp_path)
    dataset = original.read()
    assert dataset.class_names == ("cat", "dog")
    turns = [f"train/{name}/{i:04}.png" for i in range(3) for name in ("cat", "dog")]
    _assert_part(dataset.train, np.stack([images[path] for path in turns]), [0, 1] * 3)
    assert dataset.test.labels.tolist() == [0, 1] * 2
    assert original.image_bytes == dataset.train.images.nbytes + dataset.test.images.nbytes


def test_folder_is_found_by_an_absolute_path_or_from_home(tmp_path, monkeypatch):
    write_image_folder(tmp_path / "photos")
    assert len(_folder(Path("nowhere"), tmp_path / "photos").read().train.labels) == 6
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(_folder(Path("nowhere"), "~/photos").read().train.labels) == 6


def test_reduced_folder_reads_no_other_file(tmp_path):
    write_image_folder(tmp_path / "photos", train=9)
    selection = Selection(1, train=2, test=1)
    taken = _folder(tmp_path, selection=selection).read()
    rows = selection.rows("train", np.repeat([0, 1], 9))
    paths = [tmp_path / f"photos/train/{('cat', 'dog')[row // 9]}/{row % 9:04}.png" for row in rows]
    for path in set((tmp_path / "photos" / "train").rglob("*.png")) - set(paths):
        path.write_bytes(b"damaged")
    again = _folder(tmp_path, selection=selection).read()
    _assert_part(again.train, taken.train.images, taken.train.labels)
    assert again.train.labels.tolist() == [0, 1, 0, 1]


def test_folder_passes_over_what_is_no_image_and_goes_into_folders(tmp_path):
    base = tmp_path / "photos"
    write_image_folder(base, train=1, test=1)
    for name in (".DS_Store", "notes.txt", "._0000.png", "Thumbs.db"):
        (base / "train" / "cat" / name).write_bytes(b"no image")
    for hidden in (base / "train" / ".cache", base / "train" / "cat" / ".cache"):
        hidden.mkdir()
        (hidden / "0001.png").write_bytes(b"no image")
    (base / "train" / "readme.txt").write_text("not a class")
    nested = base / "train" / "cat" / "2009" / "june"
    nested.mkdir(parents=True)
    Image.new("RGB", (8, 8), (1, 2, 3)).save(nested / "A.PNG")
    dataset = _folder(tmp_path).read()
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.labels.tolist() == [0, 1, 0]
    assert (dataset.train.images[2] == (1, 2, 3)).all()


MODES = {  # mode, colour → RGB
    "RGB": ((10, 20, 30), (10, 20, 30)),
    "L": (70, (70, 70, 70)),
    "1": (1, (255, 255, 255)),
    "P": (None, (10, 20, 30)),
    "LA": ((100, 255), (100, 100, 100)),
    "RGBA": ((10, 20, 30, 0), (255, 255, 255)),  # transparent: laid on white
    "CMYK": ((0, 255, 255, 0), (255, 0, 0)),
}


@pytest.mark.parametrize("mode", MODES)
def test_image_of_any_mode(tmp_path, mode):
    color, expected = MODES[mode]
    image = Image.new("RGB", (5, 9), expected).quantize(4) if mode == "P" else Image.new(mode, (5, 9), color)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    image.save(path)
    in_color, gray = read_image(path, 6, grayscale=False), read_image(path, 6, grayscale=True)
    assert (in_color.shape, gray.shape, in_color.dtype) == ((6, 6, 3), (6, 6, 1), np.uint8)
    assert (in_color == expected).all()
    assert np.abs(gray.astype(int) - expected @ np.array([0.299, 0.587, 0.114])).max() <= 1


def test_transparency_of_a_palette_and_in_part(tmp_path):
    image = Image.new("RGB", (4, 4), (10, 20, 30)).quantize(4)
    image.save(tmp_path / "palette.png", transparency=bytes(image.getpixel((0, 0)) + 1))
    assert (read_image(tmp_path / "palette.png", 4, grayscale=False) == 255).all()
    Image.new("RGBA", (4, 4), (55, 155, 255, 128)).save(tmp_path / "half.png")
    half = read_image(tmp_path / "half.png", 4, grayscale=False).astype(int)
    assert np.abs(half - (155, 205, 255)).max() <= 1


def test_orientation_is_followed_and_the_size_kept_where_it_is_right(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png", 6, grayscale=False), np.rot90(pixels, -1))


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(50), None])
def test_damaged_image_is_named(tmp_path, content):
    write_image_folder(tmp_path / "photos")
    victim = tmp_path / "photos" / "train" / "dog" / "0001.png"
    victim.write_bytes(victim.read_bytes()[:-60] if content is None else content)  # cut short
    with pytest.raises(InputError, match=r"train.dog.0001\.png cannot be read as an image"):
        _folder(tmp_path).read()


@pytest.mark.parametrize("format", ["EPS", "PDF", "ICO", "TGA"])
def test_content_of_a_format_that_is_not_taken_is_not_looked_into(tmp_path, monkeypatch, format):
    """EPS is a program: Pillow has Ghostscript run it, whatever the file is called."""
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *arguments, **options: pytest.fail("it was run"))
    Image.new("RGB", (8, 8)).save(tmp_path / "content", format)
    (tmp_path / "content").rename(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"x\.png cannot be read as an image"):
        read_image(tmp_path / "x.png", 8, grayscale=False)


@pytest.mark.parametrize("side", [9_500, 13_500])  # where Pillow would warn, and where it refuses
def test_image_that_unpacks_to_gigabytes_is_refused_unread(tmp_path, monkeypatch, side):
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")  # some kilobytes
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it was read"))
    with pytest.raises(InputError, match=r"bomb\.png claims more than 89478485 pixels"):
        read_image(tmp_path / "bomb.png", 8, grayscale=False)


def test_image_of_16_bits_is_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png has pixels of mode I;16"):
        read_image(tmp_path / "deep.png", 4, grayscale=False)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda base: shutil.rmtree(base), r"photos must hold train/<class>"),
        (lambda base: shutil.rmtree(base / "test"), r"photos.test is no folder"),
        (lambda base: shutil.rmtree(base / "test" / "dog"), r"the same classes \(only train has dog\)"),
        (lambda base: (base / "train" / "dog").rename(base / "train" / "wolf"), r"only train has wolf; only test has dog"),
        (lambda base: [shutil.rmtree(folder) for folder in base.glob("*/*")], "they have none"),
        (lambda base: [shutil.rmtree(folder) for folder in base.glob("*/dog")], r"photos has a single class, cat, and"),
        (lambda base: [path.unlink() for path in (base / "test" / "cat").iterdir()], r"test.cat holds no image"),
    ],
)  # fmt: skip
def test_folder_that_is_laid_out_otherwise(tmp_path, change, told):
    write_image_folder(tmp_path / "photos")
    change(tmp_path / "photos")
    with pytest.raises(InputError, match=told):
        _folder(tmp_path)


@pytest.mark.parametrize("where", [b"\xe9t\xe9", b"cat/\xe9t\xe9.png"])
def test_names_that_are_no_text_are_told(tmp_path, where):
    write_image_folder(tmp_path / "photos")
    for part in ("train", "test"):
        path = Path(os.fsdecode(os.fsencode(tmp_path / "photos" / part) + b"/" + where))
        source = tmp_path / "photos" / part / "cat"
        shutil.copytree(source, path) if path.suffix == "" else shutil.copy(next(source.iterdir()), path)
    with pytest.raises(InputError, match="a name that is not UTF-8") as error:
        _folder(tmp_path)
    str(error.value).encode()  # can be printed


def _encoded(format, mode="RGB", size=(3, 5)):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, format)
    return stream.getvalue()


FILES = [
    *(_encoded(name) for name in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "EPS", "ICO")),
    *(
        _encoded("TIFF", "LAB"),
        _encoded("PNG", "I;16"),
        _encoded("PNG")[:40],
        _encoded("GIF")[:20],
        _encoded("TIFF")[:-9],
    ),
    *(b"", b"GIF89a", b"%!PS-Adobe", b"II*\0"),
]
NAMES = [b"a", b"b.png", b"$x_{$", b"-", b" ", b"a\nb", b".hidden", "é".encode(), b"\xe9", b"CON", b"~", b"%s"]
ENDS = [b"1.png", b"2.tif", b"\xff.gif", b"3.txt"]
places = st.tuples(st.sampled_from([b"train", b"test"]), st.sampled_from(NAMES), st.sampled_from(ENDS))
trees = st.dictionaries(places, st.sampled_from(FILES), max_size=6)


@settings(max_examples=60)
@given(files=trees, both=st.booleans(), per_class=st.sampled_from([None, 1, 3]))
def test_any_folder_is_read_or_told_in_one_sentence(files, both, per_class):
    with TemporaryDirectory() as folder:
        for (part, name, file), content in files.items():
            for where in (b"train", b"test") if both else (part,):
                path = Path(os.fsdecode(b"/".join([os.fsencode(folder), b"photos", where, name, file])))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        dataset, sentence = outcome(lambda: _folder(Path(folder), selection=Selection(0, per_class, per_class)).read())
        assert (dataset is None) == (sentence is not None)
        assert dataset is None or "".join(dataset.class_names).encode()


def _small(*overrides):
    data = "params/cifar10_small.yaml:data"
    return Params(overrides=[f"{data}.images_per_class={{train: 3, test: 1}}", *overrides])


def _bytes(path):
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_prepare_makes_the_same_store_wherever_the_originals_lie(tmp_path, monkeypatch):
    for place in ("downloads", "elsewhere"):
        write_image_folder(tmp_path / place / "cifar10-jpeg", train=4)
    default, elsewhere = _small(), _small(f"data_root={tmp_path / 'elsewhere'}")
    monkeypatch.chdir(tmp_path)
    prepare.run(default, "cifar10_small")
    images = DatasetPaths("cifar10_small").images
    first = _bytes(images)
    prepare.run(elsewhere, "cifar10_small")
    assert _bytes(images) == first
    store = ImageStore.open(images)
    assert store.image_shape == (3, 32, 32)
    assert [len(store.split(part).rows) for part in ("train", "validation", "test")] == [4, 2, 2]


def test_original_files_of_a_folder_are_listed_by_what_is_in_them(tmp_path, monkeypatch):
    folder = tmp_path / "downloads/cifar10-jpeg"
    write_image_folder(folder, train=4)
    every = Params(overrides=["params/cifar10_small.yaml:data.images_per_class=null"])
    monkeypatch.chdir(tmp_path)
    listed = {}
    for step in ("first", "again", "added", "changed"):
        if step == "added":
            shutil.copy(next(folder.glob("train/*/*")), next(folder.glob("train/*")) / "zz.png")
        if step == "changed":
            shutil.copy(next(folder.glob("test/*/*")), next(folder.glob("train/*")) / "zz.png")
        originals.run(every, "cifar10_small")
        listed[step] = DatasetPaths("cifar10_small").originals.read_text(encoding="utf-8").splitlines()
    assert listed["again"] == listed["first"]
    assert len(listed["added"]) == len(listed["changed"]) == len(listed["first"]) + 1
    assert set(listed["changed"]) != set(listed["added"])
    assert not [line for line in listed["first"] if str(tmp_path) in line]
    originals.run(every, "digits")
    assert "checksums" in DatasetPaths("digits").originals.read_text(encoding="utf-8")


@pytest.mark.parametrize("scarce", ["disk", "memory"])
def test_prepare_needs_room_before_it_begins(tmp_path, monkeypatch, scarce):
    params = Params()
    monkeypatch.chdir(tmp_path)
    free = {"disk": 10**12, "memory": 10**12, scarce: 10**6}
    monkeypatch.setattr("pag.machine.capacity.shutil.disk_usage", lambda path: SimpleNamespace(free=free["disk"]))
    monkeypatch.setattr("pag.machine.capacity.psutil.virtual_memory", lambda: SimpleNamespace(available=free["memory"]))
    # download, unpacked, prepared; three copies of the images
    needed = {"disk": r"6\.1 GB .*on the disk of .*downloads", "memory": r"1\.1 GB of memory"}[scarce]
    with pytest.raises(InputError, match=needed):
        prepare.run(params, "stl10")
    assert not (tmp_path / "downloads").exists()
    assert not DatasetPaths("stl10").images.exists()


def test_digits_are_the_same_as_ever(tmp_path, monkeypatch):
    params = Params()
    monkeypatch.chdir(tmp_path)
    prepare.run(params, "digits")
    images = DatasetPaths("digits").images
    store = ImageStore.open(images)
    mask = store.split("validation").rows.numpy().tobytes()
    assert '"checksum": "3616d13d9b8a0a7a' in (images / "zarr.json").read_text()
    assert hashlib.sha256(mask).hexdigest()[:16] == "89e5a2f5cbb76b65"
