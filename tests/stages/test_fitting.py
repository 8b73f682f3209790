"""What a stage is given must fit: params to the images, and each artifact to those that it is used with; else one sentence."""

from pathlib import Path

import pytest
from artifacts import write_ten_images
from typer.testing import CliRunner

from pag.base.errors import InputError
from stages import train
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
        (Cell("digits", "resnet8", "vanilla"), "training.augmentation.crop_padding=8", "crop_padding is 8, and images are 8 pixels"),
        (Cell("digits", "resnet8", "class_mean"), "methods.class_mean.classes_per_step=11", "aligns 11 classes a step .*, and the images have 10"),
        (Cell("digits", "resnet8", "vanilla", 0.5), "training.epochs=1", "vanilla has no λ"),
    ],
)  # fmt: skip
def test_training_refuses_what_its_images_do_not_allow(images, cell, override, told):
    with pytest.raises(InputError, match=told):
        train.run(Params(PARAMS_FILE, [f"params/digits.yaml:{override}"]), cell)
    assert not cell.classifier.exists()


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
