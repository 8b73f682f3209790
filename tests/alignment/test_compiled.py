"""Laws of compiled passes: losses, gradients and running statistics of the eager ones, and training that can be resumed exactly."""

import copy
import shutil
from pathlib import Path

import artifacts
import pytest
import torch
from torch import nn
from torch._dynamo.backends.registry import lookup_backend

from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.data.image_store import ImageStore, Split
from pag.machine.precision import computing_in
from pag.networks.architectures import build
from pag.networks.modes import train_with_statistics
from pag.optimization.loop import Run
from pag.targets.heuristic_store import write_representatives
from pag.targets.kinds import open_targets
from pag.training import batches, classifier
from pag.training.augmentation import Augmentation
from pag.training.classifier import train_classifier
from pag.training.network import CompiledNetwork, EagerNetwork
from pag.training.objectives import (
    AdversarialTraining,
    AlignedMargin,
    Alignment,
    Batch,
    CrossEntropy,
    StoredTargets,
    Trades,
    draw_classes,
)
from pag.training.recipe import AlignedTargets, Recipe
from stages import train
from stages.params.reading import Params
from stages.paths import Cell

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
CPU, SHAPE, C = torch.device("cpu"), (2, 4, 4), 4
RESNET = {"family": "resnet", "channels": (8,), "blocks": (1,), "activation": "silu"}
VIT = {"family": "vit", "patch_size": 2, "width": 8, "depth": 1, "heads": 2, "hidden": 8, "dropout": 0.3}
NETWORKS = {
    "batch": {**RESNET, "norm": "batch"}, "group": {**RESNET, "norm": "group"}, "none": {**RESNET, "norm": "none"}, "vit": VIT,
}  # fmt: skip
TRADES = Trades(PGD(Threat("linf", 0.1), 2, 0.05, random_start=True, loss="kl", start_std=1e-3), 6.0)
OBJECTIVES = {
    "vanilla": CrossEntropy(),
    "adversarial": AdversarialTraining(PGD(Threat("l2", 0.5), 2, 0.2, random_start=True)),
    "aligned": Alignment(0.7, C, "log_softmax"),
    "aligned logit": Alignment(0.7, C, "logit"),
    "aligned trades": Alignment(0.7, C, "log_softmax", TRADES),
    "aligned margin": AlignedMargin(Threat("linf", 0.1), 0.7, C),
}
SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "milestones": (0.5,), "gamma": 0.5}


@pytest.fixture(autouse=True)
def _forgotten_code():
    yield
    torch.compiler.reset()  # there is a limit to how often a function is compiled


@pytest.fixture
def recorded(monkeypatch):
    """The passes that are recorded; they run without the generation of code, which needs a compiler and its time."""
    passes, compile = [], torch.compile

    def backend(graph, inputs):
        passes.append(graph)
        return lookup_backend("aot_eager")(graph, inputs)

    monkeypatch.setattr(torch, "compile", lambda f, options, **others: compile(f, backend=backend, **others))
    return passes


def _network(name, dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(image_shape=SHAPE, num_classes=C, **NETWORKS[name]).to(dtype)


def _plain():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(16, C)
        ).double()  # fmt: skip


def _batch(size, k, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(size, *SHAPE, generator=generator, dtype=dtype)
    classes, g = draw_classes(size, C, k, generator), torch.randn(size, k, *SHAPE, generator=generator, dtype=dtype)
    stored = StoredTargets(torch.arange(C).expand(size, C), k, lambda asked: g[:, : asked.shape[1]])
    return Batch(x, torch.arange(size) % C, classes, g, stored=stored)


def _step(model, network, objective, batch, frozen):
    """A step's parts, its gradients and the buffers after it."""
    train_with_statistics(model, frozen)
    model.zero_grad()
    torch.manual_seed(1)  # of dropout
    parts = objective(network, batch, torch.Generator().manual_seed(2))
    parts["loss"].backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {**parts, **gradients, **{name: value.clone() for name, value in model.named_buffers()}}


def _assert_same_steps(model, objective, batches, rtol=1e-9, atol=1e-12):
    other = copy.deepcopy(model)
    compiled = CompiledNetwork(other)
    for batch, frozen in batches:
        expected, found = (
            _step(model, EagerNetwork(model), objective, batch, frozen),
            _step(other, compiled, objective, batch, frozen),
        )
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=rtol, atol=atol, msg=name)


STEPS = [
    *((network, "aligned") for network in NETWORKS),
    *(("batch", name) for name in OBJECTIVES if name != "aligned"),
]


@pytest.mark.parametrize(("network", "objective"), STEPS)
def test_each_network_and_objective_is_the_eager_one(recorded, network, objective):
    _assert_same_steps(_network(network), OBJECTIVES[objective], [(_batch(5, 3), False)])
    assert len(recorded) == 1 + (objective == "aligned trades")


def test_each_size_and_mode_is_recorded_once(recorded):
    """In training the statistics of batch norm are the batch's, frozen they are the running ones; the last batch is smaller."""
    modes = [frozen for frozen in (False, True) for _ in range(4)]
    batches = [(_batch(5 - 2 * (i % 2), 1, seed=i), frozen) for i, frozen in enumerate(modes)]
    _assert_same_steps(_plain(), OBJECTIVES["aligned trades"], batches)
    assert len(recorded) == 4 * 2  # passes for input-gradients, and forward ones


def test_bfloat16_is_where_eager_code_has_it(recorded):
    model, batch = _network("batch", torch.float32), _batch(5, 2, torch.float32)
    with computing_in("bfloat16", CPU):
        _assert_same_steps(model, OBJECTIVES["aligned"], [(batch, False)], rtol=0.02, atol=0.02)
        reduced = _step(model, CompiledNetwork(model), OBJECTIVES["aligned"], batch, False)
    exact = _step(model, CompiledNetwork(model), OBJECTIVES["aligned"], batch, False)
    assert not torch.allclose(reduced["loss"], exact["loss"], rtol=1e-6)


def test_several_ranks_are_refused(monkeypatch):
    monkeypatch.setattr("pag.alignment.compiled.size", lambda: 2)
    with pytest.raises(InputError, match=r"training\.compiled is for a single process"):
        CompiledNetwork(_network("none"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Random images, and a store of their class means."""
    generator, labels = torch.Generator().manual_seed(3), torch.arange(12) % C
    images = torch.randint(256, (12, *SHAPE), generator=generator, dtype=torch.uint8)
    means = torch.stack([images[labels == c].float().mean(0) for c in range(C)]).permute(0, 2, 3, 1) / 255
    path = tmp_path_factory.mktemp("targets") / "means.zarr"
    write_representatives(path, means.numpy(), "image", labels.numpy())
    return Split(images, labels, torch.arange(12)), open_targets(path)


def _train(data, name="aligned", checkpoint=None, kept=None, batch_size=5, frozen_from=0.5, compiled=True):
    """Weights and curves of two epochs in float64; the checkpoint of the first one is `kept`."""
    (split, targets), objective, model = data, OBJECTIVES[name], _plain()

    def watched(*arguments):
        if kept is not None and checkpoint.exists() and not kept.exists():
            shutil.copy(checkpoint, kept)
        return objective(*arguments)

    aligned = AlignedTargets(targets, "log_softmax", classes_per_step=1) if "aligned" in name else None
    recipe = Recipe(2, batch_size, SGD, Augmentation(1, True), frozen_from, compiled)
    curves = train_classifier(model, split, split, watched, aligned, recipe, Run(4, name, checkpoint=checkpoint))
    return model.state_dict(), curves


@pytest.fixture
def double(monkeypatch):
    for module in (batches, classifier):
        monkeypatch.setattr(module, "pixels", lambda images: images.double() / 255)


def _assert_close(found, expected):
    for name, value in expected[0].items():
        torch.testing.assert_close(found[0][name], value, rtol=1e-9, atol=1e-10, msg=name)
    for row, expected_row in zip(found[1], expected[1], strict=True):
        assert row == pytest.approx(expected_row, rel=1e-9)


def _assert_resumes(data, folder, name, **options):
    """A run that goes on from its first epoch, with code of its own, ends as one that was not interrupted; returns that."""
    kept = folder / "kept.pt"
    whole = _train(data, name, checkpoint=folder / "state.pt", kept=kept, **options)
    torch.compiler.reset()
    weights, curves = _train(data, name, checkpoint=kept, **options)
    assert all(torch.equal(weights[name], value) for name, value in whole[0].items())
    assert curves == whole[1]
    return whole


@pytest.mark.parametrize("name", ["adversarial", "aligned"])
def test_training_is_the_eager_one_and_resumes_exactly(recorded, double, data, tmp_path, name):
    whole = _assert_resumes(data, tmp_path, name)
    assert len(recorded) == 4 + 2  # two sizes; statistics of the batch, and frozen ones, which alone the second run has
    _assert_close(whole, _train(data, name, compiled=False))


@pytest.mark.parametrize("compiled", [True, False])
def test_stage_compiles_where_its_parameter_says_so(recorded, tmp_path, monkeypatch, compiled):
    monkeypatch.chdir(tmp_path)
    settings = [f"params/digits.yaml:training.compiled={str(compiled).lower()}", "params/digits.yaml:training.epochs=1"]
    params = Params(
        PARAMS_FILE,
        ["grid.aligned_margin.methods=[]", "grid.aligned=[]", "grid.lambdas=[]", "grid.baselines=[vanilla]", *settings],
    )
    artifacts.write_all(params, "digits", "resnet8")
    monkeypatch.setattr(train, "_validation_robustness", lambda *arguments: {})
    monkeypatch.setattr(ImageStore, "split", lambda store, name: store.all_training())  # none of them is for validation
    train.run(params, Cell("digits", "resnet8", "vanilla", 3407))
    assert len(recorded) == compiled


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="There is no compiler.")
def test_generated_code_trains_as_eager_code_and_resumes_exactly(double, data, tmp_path):
    options = {"batch_size": 6, "frozen_from": None}
    whole = _assert_resumes(data, tmp_path, "aligned", **options)
    _assert_close(whole, _train(data, compiled=False, **options))
