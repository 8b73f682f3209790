"""Laws of the exported program: without this project it has the same logits, any batch size, and gradients to attack it by."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from artifacts import CLASSES, SIDE, write_all
from rank_work import PARAMS_FILE, SEED

from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.json_files import read_json, write_json
from pag.evaluation.network import weights_digest
from pag.networks.architectures import build
from pag.networks.classifier import load_classifier, save_classifier
from stages.commands import export_program
from stages.params.reading import Params
from stages.paths import Cell

CELL = Cell("digits", "resnet8", "vanilla", SEED)
FAMILIES = {
    "resnet": {"channels": [8, 16], "blocks": [1, 1], "norm": "batch", "activation": "silu"},
    "vit": {"patch_size": 4, "width": 16, "depth": 1, "heads": 2, "hidden": 16},
    "mlp_mixer": {"patch_size": 4, "width": 16, "depth": 1, "token_hidden": 8, "channel_hidden": 16},
    "wide_resnet": {"depth": 10, "width": 1, "duplicate_block": False},
}
# What a stranger does: torch, ONNX Runtime, the folder, and nothing of this project.
STRANGER = """
import sys
import numpy as np, onnxruntime, torch
folder, images, kept = sys.argv[1:]
x = torch.load(images, weights_only=True)
model = torch.export.load(f"{folder}/model.pt2").module()
session = onnxruntime.InferenceSession(f"{folder}/model.onnx", providers=["CPUExecutionProvider"])
of_onnx = [torch.from_numpy(session.run(None, {"images": part.numpy()})[0]) for part in (x, x[:1])]
attacked = x.clone().requires_grad_()
logits = model(attacked)
(gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.int64)), attacked)
assert not [name for name in sys.modules if name.split(".")[0] in ("pag", "stages")]
torch.save({"logits": logits.detach(), "one": model(x[:1]).detach(), "gradient": gradient, "onnx": of_onnx[0]}, kept)
assert torch.allclose(of_onnx[1], of_onnx[0][:1], atol=1e-4)
"""


@pytest.fixture
def cell(tmp_path, monkeypatch, request):
    """A cell with its results, whose network is of the family that a test asks for."""
    monkeypatch.chdir(tmp_path)
    family = getattr(request, "param", "resnet")
    write_all(Params(PARAMS_FILE, ["grid.baselines=[vanilla]", "grid.aligned=[]", "grid.aligned_margin.methods=[]",
                                   "grid.lambdas=[]"]), "digits", "resnet8")  # fmt: skip
    architecture = {"family": family, "normalization": {"mean": 0.4, "std": 0.3}, **FAMILIES[family]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(**architecture, image_shape=(1, SIDE, SIDE), num_classes=CLASSES).eval()
    method = {"name": "vanilla", "objective": "cross_entropy", "label": "Vanilla"}
    config = {
        "dataset": "digits", "class_names": list("0123"), "method": method, "lambda": None, "seed": SEED,
        "architecture": architecture, "architecture_name": "resnet8", "image_shape": [1, SIDE, SIDE], "num_classes": CLASSES,
    }  # fmt: skip
    save_classifier(CELL.classifier, model, config)
    return CELL


@pytest.mark.parametrize("cell", FAMILIES, indirect=True)
def test_a_stranger_has_the_same_logits_and_gradients(cell, tmp_path):
    assert export_program.run(Params(PARAMS_FILE), cell, Path("out"), onnx=True) == Path("out")
    x = torch.rand(5, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    torch.save(x, "x.pt")
    command = [sys.executable, "-P", "-W", "error", "-c", STRANGER, "out", "x.pt", "kept.pt"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "", "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    kept, model = torch.load("kept.pt", weights_only=True), load_classifier(cell.classifier)
    inputs = x.clone().requires_grad_()
    logits = model(inputs)
    loss = torch.nn.functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.int64))
    (gradient,) = torch.autograd.grad(loss, inputs)
    scale = float(logits.detach().abs().max())
    for name, expected in (("logits", logits), ("one", logits[:1]), ("onnx", logits)):
        assert torch.allclose(kept[name], expected.detach(), atol=1e-4 * scale), name
    assert torch.allclose(kept["gradient"], gradient, atol=1e-4 * float(gradient.abs().max()))


def test_the_program_can_be_attacked(cell):
    export_program.run(Params(PARAMS_FILE), cell, Path("out"), onnx=False)
    assert not Path("out/model.onnx").exists()
    program = torch.export.load("out/model.pt2").module()
    x, y = torch.rand(4, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2)), torch.arange(4)
    pgd = PGD(Threat("l2", 1.0), 5, 0.5, random_start=False)
    assert torch.allclose(pgd(program, x, y), pgd(load_classifier(cell.classifier), x, y), atol=1e-4)


def test_the_card_says_what_was_measured_and_what_was_not(cell):
    export_program.run(Params(PARAMS_FILE), cell, Path("out"), onnx=False)
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert "- clean: 95.0% [93.0%, 97.0%], on 360 test images" in card
    assert "- AutoAttack in L₂, ε = 0.9: 5.0% [0.0%, 10.0%], on 120" in card
    assert "model.onnx" not in card
    (cell.evaluation / "metrics.json").unlink()
    export_program.run(Params(PARAMS_FILE), cell, Path("again"), onnx=False)
    assert "It was not evaluated." in Path("again/README.md").read_text(encoding="utf-8")
    assert not Path("again/metrics.json").exists()


def test_numbers_of_former_weights_are_refused(cell):
    """The classifier was trained again, and not evaluated again."""
    file = cell.evaluation / "metrics.json"
    metrics = read_json(file)
    write_json(file, metrics | {"weights": weights_digest(load_classifier(cell.classifier))})
    assert export_program.run(Params(PARAMS_FILE), cell, Path("out"), onnx=False).exists()
    write_json(file, metrics | {"weights": "of others"})
    with pytest.raises(InputError, match=r"metrics\.json is of other weights than those in .*; run evaluate again"):
        export_program.run(Params(PARAMS_FILE), cell, Path("again"), onnx=False)
    assert not Path("again").exists()


def test_a_folder_that_is_there_or_the_pipelines_is_left_alone(cell):
    Path("out").mkdir()
    Path("out/mine").touch()
    with pytest.raises(InputError, match="out already exists; give a new folder"):
        export_program.run(Params(PARAMS_FILE), cell, Path("out"), onnx=False)
    assert [path.name for path in Path("out").iterdir()] == ["mine"]
    with pytest.raises(InputError, match="is in data/, which belongs to the pipeline"):
        export_program.run(Params(PARAMS_FILE), cell, Path("data/out"), onnx=False)


def test_what_onnx_cannot_say_is_told_and_nothing_is_left(cell, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(
        InputError, match=r"resnet8 cannot be written as ONNX; --no-onnx leaves it out \(no such operator\)"
    ):
        export_program.run(Params(PARAMS_FILE), cell, Path("out"), onnx=True)
    assert not Path("out").exists()


def test_what_torch_cannot_export_is_told_and_nothing_is_left(cell, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("a guard on data.\nand more")

    monkeypatch.setattr(torch.export, "export", fails)
    with pytest.raises(InputError, match=r"resnet8 cannot be written as a torch\.export program \(a guard on data\)"):
        export_program.run(Params(PARAMS_FILE), cell, Path("out"), onnx=False)
    assert not Path("out").exists()


def test_links_that_lead_in_a_circle_are_no_fault_of_ours(cell):
    Path("loop").symlink_to("loop")
    with pytest.raises((InputError, OSError)):
        export_program.run(Params(PARAMS_FILE), cell, Path("loop/x"), onnx=False)
