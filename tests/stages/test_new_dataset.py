"""Laws of `new-dataset`: from a folder of one's own to the page, with nothing to mend by hand."""

import shutil
from pathlib import Path

import artifacts
import numpy as np
import pytest
import yaml
from PIL import ExifTags, Image
from ruamel.yaml import YAML

from pag.base.errors import InputError
from pag.data.originals.survey import survey
from stages import evaluate, heuristic_targets, prepare, report, score_targets, train, train_diffusion, visualize
from stages.commands import new_dataset
from stages.params.check import check
from stages.params.reading import Params
from stages.paths import REPORT, grid_cells

ROOT = Path(__file__).parents[2]


def write_pictures(folder, counts, sizes=((20, 24),), mode="RGB"):
    """`counts`: of each class, by its name, how many training and test pictures."""
    rng = np.random.default_rng(0)
    for i, (name, of_parts) in enumerate(counts.items()):
        for part, count in zip(("train", "test"), of_parts, strict=True):
            (folder / part / name).mkdir(parents=True)
            for j in range(count):
                width, height = sizes[j % len(sizes)]
                values = rng.integers(0, 100, (height, width, 3), dtype=np.uint8)
                values[i % height] += 150
                Image.fromarray(values).convert(mode).save(folder / part / name / f"{j}.png")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "params", tmp_path / "params")
    return tmp_path


THREE = dict.fromkeys(("cat", "dog", "bird"), (29, 8))  # 37 of each
GRID = [
    "grid.datasets=[mine]", "grid.architectures=[resnet8_bn]", "grid.baselines=[vanilla]", "grid.aligned=[kernel,score_based]",
    "grid.heuristics=[kernel]", "grid.aligned_margin.methods=[]", "grid.lambdas=[]",
]  # fmt: skip
QUICK = {
    "diffusion.steps": 2, "training.epochs": 1, "evaluation.examples": 6, "evaluation.targeted.steps": 2,
    "evaluation.threats": "{l2: {norm: l2, eps: 20.0}, linf: {norm: linf, eps: 1.0}}",  # which fool every network at once
}  # fmt: skip


def test_the_least_that_a_class_may_have_is_enough_for_every_heuristic(here):
    write_pictures(here / "pictures", dict.fromkeys(("cat", "dog"), (4, 1)))
    new_dataset.run(Params(), "mine", Path("pictures"), "cifar10_small")
    params = Params(overrides=["grid.datasets=[mine]"])
    prepare.run(params, "mine")
    for source in params.main.content["grid"]["heuristics"]:
        assert heuristic_targets.run(params, "mine", source, 3407).exists()


def test_three_small_classes_go_through_to_the_page(here):
    write_pictures(here / "pictures", THREE)
    new_dataset.run(Params(), "mine", Path("pictures"), "cifar10_small")
    params = Params(overrides=[*GRID, *(f"params/mine.yaml:{key}={value}" for key, value in QUICK.items())])
    check(params)
    prepare.run(params, "mine")
    train_diffusion.run(params, "mine", 3407)
    for split in ("train", "test"):
        score_targets.run(params, "mine", split, 3407)
    heuristic_targets.run(params, "mine", "kernel", 3407)
    for cell in grid_cells(params, "mine", "resnet8_bn"):
        train.run(params, cell)
        evaluate.run(params, cell, 1)
    visualize.run(params, "mine", "resnet8_bn")
    artifacts.write_toy(np.random.default_rng(0))
    report.run(params)
    assert "mine, resnet8_bn" in (REPORT / "index.html").read_text(encoding="utf-8")
    tables = (REPORT / "tables.md").read_text(encoding="utf-8")
    assert "AutoAttack needs four classes: APGD-DLR takes APGD-T" in tables


@pytest.mark.parametrize(
    ("counts", "sizes", "mode", "shape"),
    [
        ({"a": (12, 2), "b": (9, 3)}, ((16, 16),), "L", (1, 16)),
        ({f"c{i}": (5, 1) for i in range(12)}, ((70, 50), (300, 200)), "RGB", (3, 56)),
        ({"a": (400, 4), "b": (700, 9)}, ((9, 8),), "RGB", (3, 16)),
    ],
)
def test_what_is_written_is_possible_and_suits_the_images(here, counts, sizes, mode, shape):
    write_pictures(here / "pictures", counts, sizes, mode)
    new_dataset.run(Params(), "mine", here / "pictures", "cifar10_small")
    params = Params(overrides=GRID)
    check(params)
    written = params.dataset("mine").content
    assert ((1 if written["data"]["grayscale"] else 3), written["data"]["image_size"]) == shape
    eps = written["evaluation"]["threats"]["l2"]["eps"]
    assert eps == pytest.approx(0.5 * (shape[0] * shape[1] ** 2 / 3072) ** 0.5, rel=0.05)
    assert written["evaluation"]["threats"]["linf"]["eps"] == 0.03137254901960784
    assert written["evaluation"]["targeted"]["eps"] in written["evaluation"]["targeted"]["ladder"]
    assert written["targets"]["nearest_neighbor"]["pool_per_class"] <= min(train for train, _ in counts.values())
    assert written["evaluation"]["examples"] <= sum(test for _, test in counts.values())


def test_what_is_amiss_is_told(here, capsys):
    write_pictures(here / "pictures", {"few": (4, 1), "many": (30, 5)}, ((20, 40),))
    new_dataset.run(Params(), "mine", Path("pictures"), "cifar10_small")
    told = capsys.readouterr().out
    for sentence in (
        "2 classes (few, many)", "34 training and 6 test images, 20 × 40, in colour",
        "Note: few has fewer than 20 training images.", "Note: The classes are unequal (4 to 30 training images)",
        "Note: 40 of 40 pictures are not square", "Note: A class has a single test image",
        "dvc exp run -S 'grid.datasets=[mine]' -S 'grid.architectures=[resnet8_bn]'",
    ):  # fmt: skip
        assert sentence in told


def test_comments_stay_and_nothing_else_changes(here):
    write_pictures(here / "pictures", THREE)
    before = (here / "params.yaml").read_text(encoding="utf-8").splitlines()
    new_dataset.run(Params(), "mine", Path("pictures"), "cifar10_small")
    after = (here / "params.yaml").read_text(encoding="utf-8").splitlines()
    added = [line for line in after if line not in before]
    start = after.index("  mine:")
    count = len(after) - len(before)
    assert after[:start] + after[start + count :] == before
    assert "  mine:" in added
    like, written = (
        (here / "params" / f"{name}.yaml").read_text(encoding="utf-8") for name in ("cifar10_small", "mine")
    )
    assert written.startswith("# 3 classes, 87 training and 24 test images.")
    assert written.count("#") == like.count("#") + 1  # of two lines in the place of one
    lambdas = yaml.safe_load("\n".join(after))["lambda"]
    assert lambdas["mine"] == lambdas["cifar10_small"]


def broken(folder):
    (folder / "train" / "cat" / "0.png").write_bytes(b"none")


def emptied(folder):
    for path in (folder / "test" / "dog").iterdir():
        path.unlink()


def deep(folder):
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(folder / "train" / "cat" / "0.png")


def three_left(folder):
    for path in sorted((folder / "train" / "dog").iterdir())[3:]:
        path.unlink()


REFUSED = {
    "digits": ({}, "A data set 'digits' already exists"),
    "Mine": ({}, "'Mine' has other characters|lower-case"),
    "1": ({}, "'1' cannot name a data set: YAML"), "007": ({}, "cannot name"), "1e3": ({}, "cannot name"),
    "null": ({}, "cannot name"), "true": ({}, "cannot name"), "nan": ({}, "cannot name"),
    "code": ({}, "'code' cannot name a data set: data/code holds other results"), "toy": ({}, "data/toy"),
    "mine": ({"like": "digits"}, r"--like digits: params/digits\.yaml does not describe a folder of images"),
    "nothing": ({"root": Path("nowhere")}, "nowhere must hold train/<class>.*; it is no folder"),
    "no_parts": ({"root": Path("pictures/train")}, "pictures/train/train is no folder"),
    "broken": ({"damage": broken}, r"train/cat/0\.png cannot be read as images; mend or remove them"),
    "empty": ({"damage": emptied}, "test/dog holds no image"),
    "deep": ({"damage": deep}, r"train/cat/0\.png has more than 8 bits a channel; save with 8"),
    "few": ({"damage": three_left}, r"A class needs at least 4 training images, and these have fewer: dog \(3\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_told_and_nothing_is_written(here, name):
    options, message = REFUSED[name]
    write_pictures(here / "pictures", THREE)
    options.get("damage", lambda folder: None)(here / "pictures")
    before = {path: path.read_bytes() for path in [here / "params.yaml", *(here / "params").iterdir()]}
    with pytest.raises(InputError, match=message):
        new_dataset.run(Params(), name, options.get("root", Path("pictures")), options.get("like", "cifar10_small"))
    assert {path: path.read_bytes() for path in [here / "params.yaml", *(here / "params").iterdir()]} == before


def test_sizes_are_as_pictures_are_turned_and_a_palette_of_greys_has_no_colours(here):
    write_pictures(here / "pictures", THREE)
    for number, path in enumerate(sorted((here / "pictures").rglob("*.png"))):
        picture, exif = Image.open(path), Image.Exif()
        exif[ExifTags.Base.Orientation] = 1 + number % 8
        picture.convert("L").convert("P").save(path, exif=exif)
    found = survey(here / "pictures")
    assert found.grayscale
    assert found.sizes == {(20, 24): 56, (24, 20): 55}  # four of eight orientations are quarter turns
    Image.new("RGB", (20, 24), "red").convert("P").save(path)
    assert not survey(here / "pictures").grayscale


def test_what_is_written_in_part_is_taken_back(here, monkeypatch):
    write_pictures(here / "pictures", THREE)
    written = new_dataset._dump

    def full(content, path):
        if path.name == "params.yaml":
            raise OSError("No space left on device")
        written(content, path)

    monkeypatch.setattr(new_dataset, "_dump", full)
    with pytest.raises(OSError, match="No space"):
        new_dataset.run(Params(), "mine", Path("pictures"), "cifar10_small")
    monkeypatch.setattr(new_dataset, "_dump", written)
    new_dataset.run(Params(), "mine", Path("pictures"), "cifar10_small")


@pytest.mark.parametrize("section", ["data", "diffusion", "training", "evaluation", "figures"])
def test_a_damaged_file_that_it_is_to_be_like_is_told(here, section):
    write_pictures(here / "pictures", THREE)
    file = here / "params/cifar10_small.yaml"
    content = YAML().load(file.read_text(encoding="utf-8"))
    del content[section]
    with file.open("w", encoding="utf-8") as stream:
        YAML().dump(content, stream)
    with pytest.raises(InputError, match=rf"params/cifar10_small\.yaml: .*{section}"):
        new_dataset.run(Params(), "mine", Path("pictures"), "cifar10_small")
