"""The stage `evaluate`, on a cell of the grid and on weights from anywhere: every attack that is asked for, the same numbers."""

import json
import shutil
from pathlib import Path

import artifacts
import numpy as np
import pytest
import torch
from artifacts import SEED
from safetensors.torch import load_file

from pag.base.errors import InputError
from pag.data.image_store import ImageStore
from pag.evaluation.metrics import read_metrics
from pag.networks.architectures import build
from pag.networks.classifier import save_classifier
from pag.targets.gradient_store import create_gradients, write_shard
from pag.targets.store import Origin
from stages import evaluate
from stages.cli import app
from stages.commands import evaluate_checkpoint, evaluate_module
from stages.params.architectures import read_architecture
from stages.params.reading import Params
from stages.paths import TIMES, Cell, DatasetPaths

CELL = Cell("digits", "resnet8", "vanilla", SEED)
PATHS = DatasetPaths("digits")
PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
BUDGET = {
    # so large that the first attack fools every example: the later ones cost nothing
    "threats": "{l2: {norm: l2, eps: 7.0}, l2_large: {norm: l2, eps: 8.0}, linf: {norm: linf, eps: 1.0}}",
    "examples": "6",
    "block_size": "4",
    "pgd": "{steps: 2, restarts: 2, relative_step: 2.0}",
    "foolbox": "{attacks: {gaussian_blur: {eps: 2.0, steps: 5}, l0_fmn: {eps: 9, steps: 5}}, examples: 5, block_size: 3}",
    "curve": "{steps: 2, relative_step: 1.0, fractions: [0.01, 0.1, 1.0]}",
    "targeted": "{norm: l2, eps: 1.0, ladder: [0.5, 1.0], steps: 1, relative_step: 1.0, images: 2, classes: 20}",
}


@pytest.fixture(scope="module")
def params():
    overrides = [f"params/digits.yaml:evaluation.{key}={value}" for key, value in BUDGET.items()]
    return Params(PARAMS_FILE, overrides)


def _classifier(params, seed=0):
    torch.manual_seed(seed)
    return build(image_shape=(1, 8, 8), num_classes=4, **read_architecture(params, "resnet8").options)


@pytest.fixture
def made(params, tmp_path, monkeypatch):
    """Images, score-based gradients at the test images, and a classifier of the grid, in a working directory."""
    monkeypatch.chdir(tmp_path)
    few = Params(
        PARAMS_FILE,
        ["grid.aligned_margin.methods=[]", "grid.aligned=[]", "grid.lambdas=[]", "grid.baselines=[vanilla]"],
    )
    artifacts.write_all(few, "digits", "resnet8")
    store = ImageStore.open(PATHS.images)
    shape = (len(store.split("test").labels), 4, 1, 8, 8)
    create_gradients(PATHS.test_targets, shape, shape[0])
    write_shard(PATHS.test_targets, 0, np.random.default_rng(0).normal(size=shape))
    shutil.rmtree(CELL.classifier)
    CELL.classifier.mkdir()
    names = {
        "dataset": "digits",
        "method": {"name": "vanilla", "objective": "cross_entropy", "label": "Vanilla"},
        "lambda": None,
        "seed": SEED,
        "cost": {"forwards": 12},
        "class_names": store.class_names,
    }
    options = {"architecture": read_architecture(params, "resnet8").options, "image_shape": (1, 8, 8), "num_classes": 4}
    save_classifier(CELL.classifier, _classifier(params), {**options, **names})
    return tmp_path


def _read(folder):
    read_metrics(folder / "metrics.json")  # what is written can be read
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8")), load_file(folder / "outcomes.safetensors")


def test_every_attack_is_told_with_norm_and_eps_and_its_outcomes(params, made):
    evaluate.run(params, CELL, 1)
    metrics, outcomes = _read(CELL.evaluation)
    keys = ["dataset", "architecture", "method", "lambda", "seed", "training_seed", "targets_seed",
            "training_forwards", "images", "weights", "clean", "autoattack",
            "pgd", "foolbox", "curve", "alignment", "sanity"]  # fmt: skip
    assert list(metrics) == keys
    assert outcomes["clean"][:5].any()
    told = {name: (of["norm"], of["eps"], of["n"]) for name, of in metrics["autoattack"].items()}
    assert told == {"l2": ("l2", 7.0, 6), "l2_large": ("l2", 8.0, 6), "linf": ("linf", 1.0, 6)}
    assert {name: (of["norm"], of["eps"], of["n"]) for name, of in metrics["pgd"].items()} == told
    told = {name: (of["norm"], of["eps"], of["n"]) for name, of in metrics["foolbox"].items()}
    assert told == {"gaussian_blur": ("l2", 2.0, 5), "l0_fmn": ("l0", 9.0, 5)}
    for kind in ("pgd", "foolbox"):
        for name, of in metrics[kind].items():
            robust = outcomes[f"{kind}.{name}"]
            assert of["value"] == pytest.approx(robust.double().mean().item())
            assert not (robust & ~outcomes["clean"][: of["n"]]).any()
    assert {f"{name}.square" for name in metrics["autoattack"]} <= outcomes.keys()
    assert {"zero_gradient", "above_chance", "noise.l2_large"} <= metrics["sanity"].keys()
    assert not any(name.startswith("other_blocks") for name in metrics["sanity"])


def test_attacks_that_are_not_asked_for_are_not_told(params, made):
    without = [f"params/digits.yaml:evaluation.{key}={BUDGET[key]}" for key in BUDGET if key not in ("pgd", "foolbox")]
    without.append("params/digits.yaml:evaluation.curve=null")
    evaluate.run(Params(PARAMS_FILE, without), CELL, 1)
    metrics, outcomes = _read(CELL.evaluation)
    assert not {"pgd", "foolbox", "curve"} & metrics.keys()
    assert not [name for name in outcomes if name.startswith(("pgd.", "foolbox.", "curve."))]


def test_accuracy_over_eps_falls_from_what_is_right_without_an_attack(params, made):
    evaluate.run(params, CELL, 1)
    metrics, outcomes = _read(CELL.evaluation)
    told = {name: [(of["norm"], of["eps"], of["n"]) for of in curve] for name, curve in metrics["curve"].items()}
    assert told == {  # of each norm by the threat of smallest ε alone
        "l2": [("l2", pytest.approx(eps), 6) for eps in (0, 0.07, 0.7, 7)],
        "linf": [("linf", pytest.approx(eps), 6) for eps in (0, 0.01, 0.1, 1)],
    }
    for name, curve in metrics["curve"].items():
        withstood = outcomes[f"curve.{name}"]
        assert torch.equal(withstood[0], outcomes["clean"][:6])
        assert not (withstood[1:] & ~withstood[:-1]).any()
        assert [of["value"] for of in curve] == pytest.approx(withstood.double().mean(1).tolist())
        assert curve[-1]["value"] < curve[0]["value"]


def test_all_checks_are_told_where_they_are_asked_for(params, made):
    overrides = [f"params/digits.yaml:evaluation.{key}={value}" for key, value in (BUDGET | {"sanity": "full"}).items()]
    evaluate.run(Params(PARAMS_FILE, overrides), CELL, 1)
    checks = _read(CELL.evaluation)[0]["sanity"]
    assert {"zero_gradient", "above_chance", "noise.l2_large", "one_step.linf", "growing_eps.l2_large"} <= checks.keys()
    assert {f"other_blocks.{name}" for name in ("l2", "l2_large", "linf")} <= checks.keys()
    assert not any(name.startswith("transfer") for name in checks)  # nobody withstood
    assert all(list(check) == ["value", "bar", "passed"] for check in checks.values())


def test_weights_from_anywhere_have_the_numbers_of_the_cell(params, made):
    evaluate.run(params, CELL, 1)
    checkpoint = made / "elsewhere" / "weights.pt"
    checkpoint.parent.mkdir()
    state = load_file(CELL.classifier / "model.safetensors")
    torch.save({f"module.{name}": value for name, value in state.items()}, checkpoint)
    times, data = TIMES.read_text(encoding="utf-8"), sorted(Path("data").rglob("*"))
    evaluate_checkpoint.run(params, checkpoint, "digits", "resnet8", None, 1)
    folder = made / "elsewhere" / "weights-evaluation"
    metrics, outcomes = _read(folder)
    of_cell, outcomes_of_cell = _read(CELL.evaluation)
    method = metrics.pop("method")
    assert (method["name"], method["objective"]) == ("checkpoint", "unknown")
    assert of_cell.pop("method") == {"name": "vanilla", "objective": "cross_entropy", "source": None, "kind": None,
                                     "relative_to": None, "label": "Vanilla"}  # fmt: skip
    assert (metrics.pop("training_seed"), of_cell.pop("training_seed")) == (None, SEED)
    assert (metrics.pop("training_forwards"), of_cell.pop("training_forwards")) == (None, 12.0)
    assert metrics == of_cell
    assert all(torch.equal(outcomes[name], outcomes_of_cell[name]) for name in outcomes_of_cell)
    assert sorted(path.name for path in folder.iterdir()) == sorted(evaluate.FILES)
    assert (TIMES.read_text(encoding="utf-8"), sorted(Path("data").rglob("*"))) == (times, data)


def test_a_classifier_of_an_unknown_method_is_refused(params, made):
    file = CELL.classifier / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    for method in ("vanilla", {"name": "vanilla"}, None):
        file.write_text(json.dumps(config | {"method": method}), encoding="utf-8")
        with pytest.raises(InputError, match=r"config\.json does not say by which method"):
            evaluate.run(params, CELL, 1)


AT_L2 = {"name": "at_l2", "objective": "adversarial", "label": "AT L₂"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset", "cifar10"), ("architecture_name", "resnet18"), ("image_shape", [3, 8, 8]), ("num_classes", 5),
        ("class_names", ["0", "1", "3", "2"]), ("images", "of another data set"), ("method", AT_L2),
    ],
)  # fmt: skip
def test_the_classifier_of_another_cell_is_refused(params, made, monkeypatch, key, value):
    monkeypatch.setattr(evaluate, "_attacked", lambda *arguments: pytest.fail("attacks were begun"))
    before = sorted(Path("data").rglob("*"))
    file = CELL.classifier / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {key: value}), encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.json is of another classifier") as error:
        evaluate.run(params, CELL, 1)
    assert str(error.value).isprintable()
    assert sorted(Path("data").rglob("*")) == before


def test_a_cell_of_the_sweep_has_the_lambda_of_its_name(params, made):
    swept = Cell("digits", "resnet8", "vanilla", SEED, lambda_=0.5)
    shutil.copytree(CELL.classifier, swept.classifier)
    with pytest.raises(InputError, match=r"config\.json is of another classifier: its lambda is None, not 0\.5"):
        evaluate.run(params, swept, 1)


@pytest.mark.parametrize(
    ("origin", "shape", "told"),
    [
        (lambda images: Origin(images, "train"), (20, 4, 1, 8, 8), "holds targets at train images, and those at test images"),
        (lambda images: Origin("0" * 64, "test"), (20, 4, 1, 8, 8), "was made from other images than there are now"),
        (lambda images: None, (20, 5, 1, 8, 8), r"holds targets for .* = \(20, 5, 1, 8, 8\)"),
        (lambda images: None, (19, 4, 1, 8, 8), r"holds targets for .* = \(19, 4, 1, 8, 8\)"),
    ],
)  # fmt: skip
def test_a_reference_at_other_images_is_refused(params, made, monkeypatch, origin, shape, told):
    monkeypatch.setattr(evaluate, "_attacked", lambda *arguments: pytest.fail("attacks were begun"))
    shutil.rmtree(PATHS.test_targets)
    checksum = ImageStore.open(PATHS.images).checksum
    create_gradients(PATHS.test_targets, shape, shape[0], origin=origin(checksum))
    write_shard(PATHS.test_targets, 0, np.ones(shape))
    with pytest.raises(InputError, match=told):
        evaluate.run(params, CELL, 1)


def test_reference_that_is_missing_is_told_before_the_attacks(params, made, monkeypatch):
    shutil.rmtree(PATHS.test_targets)
    monkeypatch.setattr(evaluate, "_attacked", lambda *arguments: pytest.fail("attacks were begun"))
    with pytest.raises(InputError, match="test_targets"):
        evaluate.run(params, CELL, 1)


def test_alignment_is_left_out_where_there_is_no_reference(params, made):
    shutil.rmtree(PATHS.test_targets)
    evaluate_checkpoint.run(params, CELL.classifier / "model.safetensors", "digits", "resnet8", made / "there", 1)
    metrics, outcomes = _read(made / "there")
    assert metrics["alignment"] is None
    assert "alignment" not in outcomes
    with pytest.raises(InputError, match="test_targets"):
        evaluate.run(params, CELL, 1)


def test_places_that_are_not_free_are_refused(params, made):
    weights = CELL.classifier / "model.safetensors"
    with pytest.raises(InputError, match="belongs to the pipeline"):
        evaluate_checkpoint.run(params, weights, "digits", "resnet8", None, 1)
    (made / "mine").mkdir()
    (made / "mine" / "diary.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(InputError, match=r"diary\.txt is in the way"):
        evaluate_checkpoint.run(params, weights, "digits", "resnet8", made / "mine", 1)
    assert (made / "mine" / "diary.txt").exists()
    (made / "theirs").mkdir()
    (made / "theirs" / "metrics.json").write_text('{"dear": "diary"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.json is in the way"):
        evaluate_checkpoint.run(params, weights, "digits", "resnet8", made / "theirs", 1)
    (made / "link").symlink_to(CELL.classifier.absolute())
    with pytest.raises(InputError, match="belongs to the pipeline"):
        evaluate_checkpoint.run(params, weights, "digits", "resnet8", made / "link", 1)
    assert weights.exists()


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--method", "vanilla", "--checkpoint", "a.pt"],
        ["--method", "vanilla", "--output", "there"],
        ["--checkpoint", "a.pt", "--lambda", "1.0"],
        ["--module", "a:b"],
        ["--module", "a:b", "--checkpoint", "a.pt"],
    ],
)
def test_a_cell_and_a_checkpoint_are_told_apart(options):
    with pytest.raises(InputError, match="evaluate takes --method"):
        app(["evaluate", "--dataset", "digits", "--architecture", "resnet8", *options], standalone_mode=False)


FACTORIES = """
import torch
from torch import nn

class Linear(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        return self.linear(x.flatten(1))

class Sure(Linear):
    def forward(self, x):
        return (1e4 * super().forward(x)).softmax(1)

class Random(Linear):
    def forward(self, x):
        return super().forward(x + torch.rand_like(x))

def five():
    return Linear(5)

def number():
    return 3
"""


def test_any_network_is_evaluated_with_its_checks(params, made, monkeypatch):
    (made / "own_networks.py").write_text(FACTORIES, encoding="utf-8")
    monkeypatch.syspath_prepend(made)
    one = Params(PARAMS_FILE, [*(f"params/digits.yaml:evaluation.{key}={value}" for key, value in BUDGET.items()),
                               "params/digits.yaml:evaluation.threats={linf: {norm: linf, eps: 1.0}}"])  # fmt: skip
    evaluate_module.run(one, "own_networks:Sure", "digits", None, 1)
    metrics, _ = _read(Path("Sure-evaluation"))
    assert (metrics["architecture"], metrics["method"]["name"]) == ("own_networks:Sure", "module")
    failed = {name for name, check in metrics["sanity"].items() if not check["passed"]}
    assert {"zero_gradient", "probabilities"} <= failed
    assert metrics["autoattack"]["linf"]["value"] == min(metrics["autoattack"]["linf"]["attacks"].values())


@pytest.mark.parametrize(("factory", "sentence"), [
    ("Random", "Two forward passes of the classifier differ"),
    ("five", r"gives outputs \(2, 5\), not \(2, 4\)"),
    ("number", "returns a int, not a torch.nn.Module"),
    ("nothing", "does not exist"),
])  # fmt: skip
def test_networks_that_cannot_be_evaluated_are_told(factory, sentence, params, made, monkeypatch):
    (made / "own_networks.py").write_text(FACTORIES, encoding="utf-8")
    monkeypatch.syspath_prepend(made)
    with pytest.raises(InputError, match=sentence):
        evaluate_module.run(params, f"own_networks:{factory}", "digits", None, 1)
    assert not list(made.glob("*-evaluation"))
