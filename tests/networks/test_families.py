"""One's own network: built by its place, saved and loaded by it, refused in one sentence; and nothing imported in vain."""

import subprocess
import sys

import pytest
import torch

from pag import load_classifier
from pag.base.errors import InputError
from pag.networks.architectures import build
from pag.networks.classifier import save_classifier
from pag.networks.families import family_class, family_module
from stages.params.architectures import read_architecture
from stages.params.check import check
from stages.params.families import FAMILIES
from stages.params.reading import Params

MODULE = """
from torch import nn

class Pooled(nn.Module):
    def __init__(self, image_shape, num_classes, width, scales=(1.0,)):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(image_shape[0], width, 1), nn.SiLU())
        self.head = nn.Linear(width, num_classes)
        self.scales = scales

    def forward(self, x):
        return self.scales[0] * self.head(self.body(x).mean(dim=(2, 3)))

class NoNetwork:
    def __init__(self, image_shape, num_classes):
        pass

a_number = 3
"""
FAMILY = "my_networks:Pooled"
KEY = "architectures.resnet8"


@pytest.fixture
def my_networks(tmp_path, monkeypatch):
    """A module of one's own, and one that fails, on Python's path."""
    (tmp_path / "my_networks.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "broken_networks.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_networks", None)


def test_ones_own_network_is_built_saved_and_loaded_again(my_networks):
    options = {"width": 6, "scales": [2.0], "normalization": {"mean": 0.25, "std": 2.0}}
    params = Params(overrides=[f"{KEY}={{family: '{FAMILY}', {str(options)[1:-1]}}}"])
    architecture = read_architecture(params, "resnet8").options
    model = build(image_shape=(1, 8, 8), num_classes=4, **architecture).eval()
    config = {
        "architecture": architecture, "image_shape": (1, 8, 8), "num_classes": 4, "dataset": "digits",
        "class_names": list("0123"), "method": {"name": "vanilla"}, "lambda": None, "seed": 0,
    }  # fmt: skip
    folder = my_networks / "classifier"
    folder.mkdir()
    save_classifier(folder, model, config)
    assert f"`{FAMILY}` with width 6; scales 2.0." in (folder / "README.md").read_text(encoding="utf-8")
    loaded, x = load_classifier(folder), torch.rand(3, 1, 8, 8)
    assert type(loaded.network).__name__ == "Pooled"
    assert torch.equal(loaded(x), model(x))
    assert torch.equal(model(x), model.network((x - 0.25) / 2.0))
    (my_networks / "my_networks.py").write_text("", encoding="utf-8")
    sys.modules.pop("my_networks")
    with pytest.raises(
        InputError, match=r"config\.json does not describe a classifier .*my_networks has no class Pooled"
    ):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("family", "options", "sentence"),
    [
        ("nowhere.at_all:Network", {}, "'nowhere.at_all:Network' cannot be imported .*No module named 'nowhere'"),
        ("broken_networks:Network", {}, "cannot be imported .*nothing_of_that_name"),
        ("my_networks:Missing", {}, "my_networks has no class Missing"),
        ("my_networks:a_number", {}, "my_networks has no class a_number"),
        ("my_networks:NoNetwork", {}, r"is no torch\.nn\.Module"),
        (FAMILY, {}, "does not take its options .*width"),
        (FAMILY, {"width": 2, "depth": 3}, "does not take its options .*depth"),
        ("resnet", {"depth": 3}, "'resnet' does not take its options .*depth"),
        (
            "my networks:Pooled",
            {},
            "Unknown architecture family 'my networks:Pooled'; one's own is package.module:Class",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(my_networks, family, options, sentence):
    with pytest.raises(InputError, match=sentence):
        build(family, (1, 8, 8), 4, **options)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("{family: alexnet}", rf"{KEY}\.family names 'alexnet'"),
        ("{width: 3}", rf"{KEY}\.family: field required"),
        ("{family: 'my networks:Pooled'}", rf"{KEY}\.family: string should match"),
        ("{family: ':Pooled'}", rf"{KEY}\.family: string should match"),
        ("{family: 'a:B', num_classes: 3}", f"{KEY}.num_classes is given by the data set"),
        ("{family: 'a:B', normalization: {mean: 0.5, std: 0.0}}", rf"{KEY}\.normalization\.std"),
        ("{family: vgg, depth: 11, norm: batch, width: 3}", rf"{KEY}\.width: unknown key"),
    ],
)
def test_sections_that_cannot_be_are_refused_by_their_key(section, sentence):
    with pytest.raises(InputError, match=sentence):
        check(Params(overrides=[f"{KEY}={section}"]))


def test_modules_of_families():
    for family in FAMILIES:
        assert family_class(family).__module__ == family_module(family) == f"pag.networks.architectures.{family}"
    assert family_module("my_package.networks:ConvNeXt") == "my_package.networks"
    for family in ("alexnet", "a:b:c", "a b:C", "module:"):
        with pytest.raises(InputError, match="Unknown architecture family"):
            family_module(family)


def test_only_the_family_that_is_used_is_imported():
    code = (
        "import sys; from pag.networks.families import family_module; family_module('vit'); assert 'torch' not in sys.modules;"
        "from pag.networks.architectures import build;"
        "build('resnet', (1, 8, 8), 3, channels=[4], blocks=[1], norm='none', activation='silu');"
        "print(sorted(name for name in sys.modules if name.startswith('pag.networks.architectures.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['pag.networks.architectures.resnet']"
