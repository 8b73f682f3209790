"""Laws of the export to RobustBench: loaded by its conventions, without this project, a network has the same logits bit for bit."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from artifacts import CLASSES, SIDE, write_all
from rank_work import PARAMS_FILE, SEED
from safetensors.torch import load_file
from typer.testing import CliRunner

from pag.base.errors import InputError
from pag.base.json_files import read_json, write_json
from pag.evaluation.metrics import read_metrics
from pag.networks.architectures import build
from pag.networks.classifier import load_classifier, save_classifier
from stages.cli import app
from stages.commands.export_robustbench import Submission, run
from stages.commands.standalone import standalone_source
from stages.params.reading import Params
from stages.paths import Cell

CELL = Cell("digits", "resnet8", "vanilla", SEED)
SUBMISSION = Submission("Ganz2023Do_R8", "Do Gradients?", "https://arxiv.org/abs/2207.11378", "R. Ganz", "ICML 2023")
NAME, OUT = "Ganz2023Do_R8", Path("zoo")
SOURCE = OUT / "robustbench/model_zoo/architectures/ganz2023do_r8.py"
WEIGHTS = OUT / f"models/digits/L2/{NAME}.pt"
INFO = OUT / f"model_info/digits/L2/{NAME}.json"
# As the loader of RobustBench does: names lose `module.` and `model.`, weights must be those of the class, all of them.
LOAD = f"""
import importlib.util, sys
import torch

source, weights, x, logits = sys.argv[1:]
spec = importlib.util.spec_from_file_location("zoo", source)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert not [name for name in sys.modules if name.split(".")[0] in ("pag", "stages")]
state = torch.load(weights, map_location="cpu", weights_only=True)
for prefix in ("module.", "model."):
    state = {{key[len(prefix):] if prefix in key else key: value for key, value in state.items()}}
model = module.{NAME}()
model.load_state_dict(state, strict=True)
torch.set_num_threads(1)
with torch.no_grad():
    torch.save(model.eval()(torch.load(x, weights_only=True)), logits)
"""
FAMILIES = {
    "resnet": {"channels": [8, 16], "blocks": [1, 1], "norm": "batch", "activation": "silu"},
    "vit": {"patch_size": 4, "width": 16, "depth": 1, "heads": 2, "hidden": 16},
    "mlp_mixer": {"patch_size": 4, "width": 16, "depth": 1, "token_hidden": 8, "channel_hidden": 16},
    "wide_resnet": {"depth": 10, "width": 1, "duplicate_block": True},
    "vgg": {"depth": 11, "norm": "batch"},
}


def _write(cell, family, options, shape):
    """A classifier of random weights in the place of the cell's."""
    torch.manual_seed(0)
    architecture = {"family": family, **options, "normalization": {"mean": [0.4], "std": [0.3]}}
    given = {"image_shape": shape, "num_classes": CLASSES}
    model = build(**given, **architecture)
    config = {"architecture": architecture, **given, "class_names": ["0", "1", "2", "3"], "dataset": cell.dataset}
    config |= {"method": {"name": "vanilla"}, "lambda": None, "seed": cell.seed, "architecture_name": cell.architecture}
    shutil.rmtree(cell.classifier)
    cell.classifier.mkdir(parents=True)
    save_classifier(cell.classifier, model, config)


@pytest.fixture
def params(tmp_path, monkeypatch):
    """The artifacts of a small grid, in a working directory."""
    monkeypatch.chdir(tmp_path)
    few = Params(PARAMS_FILE, ["grid.aligned=[]", "grid.lambdas=[]", "grid.baselines=[vanilla]"])
    write_all(few, "digits", "resnet8")
    _write(CELL, "resnet", FAMILIES["resnet"], (1, SIDE, SIDE))
    return few


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_is_the_same_without_this_project(params, tmp_path, family):
    side = 32 if family in ("vgg", "wide_resnet") else SIDE
    _write(CELL, family, FAMILIES[family], (1, side, side))
    run(params, CELL, "l2", OUT, SUBMISSION)
    x = torch.rand(5, 1, side, side, generator=torch.Generator().manual_seed(1))
    torch.save(x, "x.pt")
    command = [sys.executable, "-I", "-W", "error", "-c", LOAD, str(SOURCE), str(WEIGHTS), "x.pt", "logits.pt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        assert torch.equal(torch.load("logits.pt", weights_only=True), load_classifier(CELL.classifier)(x))
    safe = load_file(WEIGHTS.with_suffix(".safetensors"))
    assert all(torch.equal(value, safe[key]) for key, value in torch.load(WEIGHTS, weights_only=True).items())


def test_model_info_has_the_numbers_of_the_evaluation(params, capsys):
    run(params, CELL, "l2", OUT, SUBMISSION)
    info, metrics = json.loads(INFO.read_text(encoding="utf-8")), read_metrics(CELL.evaluation / "metrics.json")
    accuracy = f"{100 * metrics.autoattack['l2'].value:.2f}"
    assert info == {
        "link": SUBMISSION.link, "name": SUBMISSION.title, "authors": SUBMISSION.authors, "venue": SUBMISSION.venue,
        "additional_data": False, "number_forward_passes": 1, "dataset": "digits", "architecture": "resnet8",
        "eps": f"{metrics.autoattack['l2'].eps:g}", "clean_acc": f"{100 * metrics.clean.value:.2f}",
        "reported": accuracy, "autoattack_acc": accuracy, "footnote": info["footnote"], "unreliable": False,
    }  # fmt: skip
    n, of_all = metrics.autoattack["l2"].n, metrics.clean.n
    assert info["footnote"] == ("" if n == of_all else f"AutoAttack on the first {n} of {of_all} test images.")
    assert "RobustBench has no leaderboard for digits under L2, eps" in capsys.readouterr().out


def test_generated_images_and_failed_checks_are_told(params):
    config = read_json(CELL.classifier / "config.json")
    write_json(CELL.classifier / "config.json", config | {"generated": {"images": 2000, "share": 0.3}})
    metrics = read_json(CELL.evaluation / "metrics.json")
    metrics["autoattack"]["linf"]["eps"] = 8 / 255
    metrics["sanity"] = {"noise.linf": {"value": 0.5, "bar": 0.1, "passed": False}}
    write_json(CELL.evaluation / "metrics.json", metrics)
    run(params, CELL, "linf", OUT, SUBMISSION)
    info = json.loads((OUT / f"model_info/digits/Linf/{NAME}.json").read_text(encoding="utf-8"))
    assert info["eps"] == "8/255"
    assert "It uses additional 2000 synthetic images in training." in info["footnote"]
    assert "Checks of the evaluation failed: noise.linf." in info["footnote"]
    assert info["unreliable"]
    run(params, CELL, "l2", OUT, SUBMISSION)
    assert not json.loads(INFO.read_text(encoding="utf-8"))["unreliable"]


def test_the_command_exports_a_cell(params):
    options = ["--dataset", "digits", "--architecture", "resnet8", "--method", "vanilla", "--threat", "linf"]
    few = ["--set", "grid.aligned=[]", "--set", "grid.lambdas=[]", "--params", str(PARAMS_FILE), "--out", "there"]
    done = CliRunner().invoke(app, ["export", "robustbench", *options, *few])
    assert done.exit_code == 0, done.output
    found = {p.name for p in Path("there").rglob("*") if p.is_file()}
    stem = "PAG_vanilla_resnet8"
    assert found == {f"{stem}.pt", f"{stem}.safetensors", f"{stem}.json", f"{stem.lower()}.py"}


@pytest.mark.parametrize(
    ("cell", "threat", "out", "name", "told"),
    [
        (CELL, "l1", OUT, NAME, r"has no AutoAttack results for the threat 'l1' \(it has l2, linf\)"),
        (CELL, "l2", Path("data/zoo"), NAME, "belongs to the pipeline; give another folder with --out"),
        (CELL, "l2", OUT, "../x", "--name takes letters, digits"),
        (Cell("digits", "resnet8", "at_l2", SEED), "l2", OUT, NAME, r"at_l2/3407/metrics\.json does not exist"),
    ],
)
def test_what_cannot_be_exported_is_told_and_nothing_written(params, cell, threat, out, name, told):
    with pytest.raises(InputError, match=told):
        run(params, cell, threat, out, Submission(name))
    assert not OUT.exists()


def test_numbers_of_former_weights_are_refused(params):
    file = CELL.evaluation / "metrics.json"
    write_json(file, read_json(file) | {"weights": "of others"})
    with pytest.raises(InputError, match=r"metrics\.json is of other weights than those in .*; run evaluate again"):
        run(params, CELL, "l2", OUT, SUBMISSION)
    assert not OUT.exists()


def test_norms_data_sets_and_families_that_robustbench_does_not_take_are_told(params):
    metrics = read_json(CELL.evaluation / "metrics.json")
    metrics["autoattack"]["l2"]["norm"] = "l1"
    write_json(CELL.evaluation / "metrics.json", metrics)
    with pytest.raises(InputError, match="RobustBench has no threat in the norm l1"):
        run(params, CELL, "l2", OUT, SUBMISSION)
    with pytest.raises(InputError, match="'my_module:ConvNeXt' is a class of your own"):
        standalone_source("Mine", {"family": "my_module:ConvNeXt", "normalization": {}}, [1, 8, 8], 10)
    imagenet = Cell("imagenet", "resnet8", "vanilla", SEED)
    shutil.copytree(CELL.evaluation, imagenet.evaluation)
    with pytest.raises(InputError, match="ImageNet's images and networks in its own way"):
        run(params, imagenet, "linf", OUT, SUBMISSION)
    assert not OUT.exists()
