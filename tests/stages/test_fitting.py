"""What a stage is given must fit: params to the images, and each artifact to those that it is used with; else one sentence."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from artifacts import write_ten_images
from typer.testing import CliRunner

from pag.base.errors import InputError
from pag.data.datasets import Dataset, LabelledImages
from pag.data.image_store import ImageStore, write_images
from pag.targets.kinds import open_targets
from pag.targets.store import Origin
from stages import heuristic_targets, train
from stages.cli import app
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
PATHS = DatasetPaths("digits")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """An image store of ten classes, 8 × 8 pixels, in a working directory."""
    monkeypatch.chdir(tmp_path)
    write_ten_images(PATHS, 8)


@pytest.mark.parametrize(
    ("cell", "override", "told"),
    [
        ({"method": "vanilla"}, "training.augmentation.crop_padding=8", "crop_padding is 8, and images are 8 pixels"),
        ({"method": "class_mean", "targets_seed": 1},
         "methods.class_mean.classes_per_step=11", "aligns 11 classes a step .*, and the images have 10"),
        ({"method": "vanilla", "lambda_": 0.5}, "training.epochs=1", "vanilla has no λ"),
    ],
)  # fmt: skip
def test_training_refuses_what_its_images_do_not_allow(images, cell, override, told):
    cell = Cell("digits", "resnet8", seed=1, **cell)
    with pytest.raises(InputError, match=told):
        train.run(Params(PARAMS_FILE, [f"params/digits.yaml:{override}"]), cell)
    assert not cell.classifier.exists()


OWN = """
from torch import nn

class Wide(nn.Sequential):
    def __init__(self, image_shape, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(64, num_classes + 1))

class Grey(nn.Sequential):
    def __init__(self, image_shape, num_classes):
        super().__init__(nn.Conv2d(3, num_classes, 8), nn.Flatten())

class Counting(nn.Sequential):
    def __init__(self, image_shape, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(64, num_classes))

    def forward(self, x):
        return super().forward(x).long()

class Endless(Counting):
    def forward(self, x):
        return nn.Sequential.forward(self, x) / 0

class Paired(Counting):
    def forward(self, x):
        return nn.Sequential.forward(self, x), x

class Fixed(nn.Module):
    def __init__(self, image_shape, num_classes):
        super().__init__()

    def forward(self, x):
        return x.flatten(1)[:, :10]
"""


@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("Wide", r"architectures\.resnet8 gives outputs \(2, 11\), not \(2, 10\), for 2 images"),
        ("Grey", r"architectures\.resnet8 does not take images \(2, 1, 8, 8\) \(.*to have 3 channels"),
        ("Counting", r"architectures\.resnet8 gives torch\.int64, not a tensor of floating-point numbers"),
        ("Paired", r"architectures\.resnet8 gives a tuple, not a tensor of floating-point numbers"),
        ("Endless", r"architectures\.resnet8 gives outputs that are not finite"),
        ("Fixed", r"architectures\.resnet8 has no weights to train"),
    ],
)
def test_training_refuses_a_network_that_is_no_classifier_of_its_images(images, monkeypatch, family, told):
    Path("networks_of_mine.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "networks_of_mine", raising=False)
    cell = Cell("digits", "resnet8", "vanilla", seed=1)
    with pytest.raises(InputError, match=told):
        train.run(Params(PARAMS_FILE, [f"architectures.resnet8={{family: 'networks_of_mine:{family}'}}"]), cell)
    assert not cell.classifier.exists()


def test_aligned_margin_refuses_more_rivals_than_there_are_targets_of(images, monkeypatch):
    method = "params/digits.yaml:methods.aligned_margin_l2"
    params = Params(PARAMS_FILE, [f"{method}.classes_per_step=10", f"{method}.targets=class_mean"])
    monkeypatch.setattr(ImageStore, "split", lambda store, name: store.all_training())  # each class has one image
    heuristic_targets.run(params, "digits", "class_mean", 1)
    cell = Cell("digits", "resnet8", "aligned_margin_l2", 1, 1)
    with pytest.raises(
        InputError, match=r"methods\.aligned_margin_l2 draws 10 classes other than .*class_mean\.zarr has targets of 10"
    ):
        train.run(params, cell)


@pytest.mark.parametrize("source", ["class_mean", "one_image"])
def test_targets_say_what_they_were_made_from_and_train_nothing_else(images, monkeypatch, source):
    """The images of the data set may have been made anew since."""
    params, cell = Params(PARAMS_FILE), Cell("digits", "resnet8", source, 1, 1)
    monkeypatch.setattr(ImageStore, "split", lambda store, name: store.all_training())  # each class has one image
    heuristic_targets.run(params, "digits", source, 1)
    made = open_targets(PATHS.targets(source, 1))
    assert made.origin == Origin(ImageStore.open(PATHS.images).checksum, "train")
    shutil.rmtree(PATHS.images)
    part = LabelledImages(np.ones((10, 8, 8, 1), np.uint8), np.arange(10))
    write_images(PATHS.images, Dataset("other", part, part, tuple("0123456789"), ""), np.zeros(10, bool))
    with pytest.raises(InputError, match=rf"{source}\.zarr was made from other images than there are now"):
        train.run(params, cell)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e300", "x"])
def test_lambda_of_the_command_line_is_a_number_that_a_folder_can_be_named_by(value):
    command = [
        "train",
        "--dataset",
        "digits",
        "--architecture",
        "resnet8",
        "--method",
        "score_based",
        f"--lambda={value}",
    ]
    assert CliRunner().invoke(app, command).exit_code == 2
