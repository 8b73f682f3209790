"""Laws of the classifiers' folder and training: a round trip, resumption, and refusal of what does not fit."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from viewed_networks import Merged, Viewed

import pag
from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.data.image_store import Split, pixels
from pag.networks.architectures import build
from pag.networks.classifier import load_classifier, save_classifier
from pag.networks.modes import train_with_statistics
from pag.optimization.loop import Run
from pag.targets.gradient_store import create_gradients, write_shard
from pag.targets.heuristic_store import write_representatives
from pag.targets.kinds import open_targets
from pag.training.augmentation import Augmentation
from pag.training.batches import Batches
from pag.training.classifier import train_classifier
from pag.training.objectives import (
    AdversarialTraining,
    AlignedMargin,
    Alignment,
    CrossEntropy,
    GradientNorm,
    Ramp,
    Trades,
)
from pag.training.recipe import AlignedTargets, Recipe

OPTIONS = {"family": "resnet", "channels": [4, 8], "blocks": [1, 1], "norm": "none", "activation": "silu"}
OPTIONS["normalization"] = {"mean": 0.5, "std": 0.5}
SHAPE, C = (1, 8, 8), 3
CONFIG = {"architecture": OPTIONS, "image_shape": SHAPE, "num_classes": C, "class_names": ["a", "b", "c"]}
CONFIG |= {"dataset": "squares", "method": {"name": "score_based"}, "lambda": 0.5, "seed": 1}
ADAMW = {"name": "adamw", "lr": 0.01, "weight_decay": 0.0, "warmup": 0.1}
ADVERSARIAL = AdversarialTraining(PGD(Threat("linf", 0.1), 2, 0.1, random_start=True))
TRADES = Trades(PGD(Threat("l2", 0.5), 2, 0.3, random_start=True, loss="kl", start_std=1e-3), 6.0)
OBJECTIVES = {
    "vanilla": CrossEntropy(),
    "aligned": Alignment(0.5, C, "log_softmax"),
    "adversarial": ADVERSARIAL,
    "trades": TRADES,
    "aligned trades": Alignment(0.5, C, "log_softmax", TRADES, Ramp(0.5, 2 / 3)),
    "aligned margin": AlignedMargin(Threat("linf", 0.1), 0.5, C),
    "gradient norm": GradientNorm("linf", 0.1),
}


def _model(seed=0, **changes):
    torch.manual_seed(seed)
    return build(image_shape=SHAPE, num_classes=C, **{**OPTIONS, **changes})


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 12)])
def test_networks_take_any_shape_and_every_parameter_gets_a_gradient(norm, shape):
    model = build(image_shape=shape, num_classes=C, **{**OPTIONS, "channels": [8, 16], "norm": norm})
    logits = model(torch.rand(5, *shape))
    assert logits.shape == (5, C)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_pixels_are_normalised_inside():
    model = _model()
    x = torch.rand(2, *SHAPE)
    expected = model(x)
    model.mean.zero_()
    model.std.fill_(1.0)
    torch.testing.assert_close(model(2 * x - 1), expected)


def test_folder_round_trips(tmp_path):
    model = _model()
    save_classifier(tmp_path, model, CONFIG)
    loaded = load_classifier(tmp_path)
    x = torch.rand(2, *SHAPE)
    assert torch.equal(loaded(x), model(x))
    assert not loaded.training
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "squares: score_based" in card
    assert "λ = 0.5" in card
    assert "`resnet` with channels 4, 8; blocks 1, 1; norm none; activation silu." in card
    assert "1 × 8 × 8 with pixels in [0, 1]" in card


def test_package_offers_its_loader_without_importing_torch_at_once():
    assert pag.load_classifier is load_classifier
    with pytest.raises(AttributeError, match="no attribute 'load_classifyer'"):
        _ = pag.load_classifyer
    code = "import sys, pag; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_damaged_or_foreign_weights_are_named(tmp_path):
    save_classifier(tmp_path, _model(), CONFIG)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"model\.safetensors is truncated"):
        load_classifier(tmp_path)
    weights.write_bytes(whole)
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "num_classes": C + 1}), encoding="utf-8")
    with pytest.raises(InputError, match=r"linear\.weight has shape \(3, 8\) and not \(4, 8\)"):
        load_classifier(tmp_path)
    with pytest.raises(InputError, match=r"config\.json does not exist"):
        load_classifier(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Bright squares of three places, and a store of their class means."""
    rng = np.random.default_rng(0)
    labels = np.arange(36) % C
    images = rng.integers(0, 80, (36, 8, 8, 1)).astype(np.uint8)
    for i, c in enumerate(labels):
        images[i, 2 * c : 2 * c + 3, 2:6] += 150
    means = np.stack([images[labels == c].mean(axis=0) for c in range(C)]).astype(np.float32) / 255
    path = tmp_path_factory.mktemp("targets") / "means.zarr"
    write_representatives(path, means, "image", labels)
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    rows = torch.arange(36)
    parts = [Split(x[part], torch.from_numpy(labels)[part], rows[part]) for part in (slice(0, 30), slice(30, 36))]
    return *parts, open_targets(path)


def _train(data, name, checkpoint=None, epochs=3, stop_after=None, norm="none", frozen_from=None, watch=None):
    train, validation, targets = data
    model, calls = _model(norm=norm), 0
    objective = OBJECTIVES[name]

    def interrupted(*arguments):
        nonlocal calls
        calls += 1
        if calls == stop_after:
            raise KeyboardInterrupt
        if watch is not None:
            watch(*arguments)
        return objective(*arguments)

    k, by_prediction = 2, "margin" in name
    aligned = AlignedTargets(targets, "log_softmax", k, by_prediction=by_prediction) if "aligned" in name else None
    recipe = Recipe(epochs, 8, ADAMW, Augmentation(1, True), frozen_from)
    curves = train_classifier(
        model, train, validation, interrupted, aligned, recipe, Run(4, name, checkpoint=checkpoint)
    )  # fmt: skip
    return model, curves


class Stopping(CrossEntropy):
    """The cross-entropy, which is interrupted once."""

    def __init__(self, after):
        self.left = after

    def parts(self, *arguments):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().parts(*arguments)


def _trained(data, objective, model=None, checkpoint=None):
    model = _model(norm="batch") if model is None else model
    recipe = Recipe(
        2,
        8,
        {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0, "milestones": (), "gamma": 0.1},
        Augmentation(),
    )
    train_classifier(model, *data[:2], objective, None, recipe, Run(4, "run", checkpoint=checkpoint))
    return model


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_channels_last_learns_what_it_learns_otherwise(data, name, monkeypatch):
    laid_out, _ = _train(data, name, norm="batch")
    monkeypatch.setattr("pag.training.classifier.laid_out_channels_last", lambda model, x: model)
    otherwise, _ = _train(data, name, norm="batch")
    convolution = next(w for w in laid_out.parameters() if w.ndim == 4 and min(w.shape) > 1)
    assert not convolution.is_contiguous()
    assert all(weight.is_contiguous() for weight in otherwise.parameters())
    for value, expected in zip(laid_out.state_dict().values(), otherwise.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-4)


def test_training_channels_last_resumes_exactly(data, tmp_path):
    whole = _trained(data, CrossEntropy())
    with pytest.raises(KeyboardInterrupt):
        _trained(data, Stopping(6), checkpoint=tmp_path / "state.pt")
    resumed = _trained(data, CrossEntropy(), checkpoint=tmp_path / "state.pt")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


class WhileTraining(Viewed):
    """Takes one in training mode alone."""

    def forward(self, x):
        channels = self.convolution(x)
        return self.head(channels.view(len(x), -1) if self.training else channels.flatten(1))


@pytest.mark.parametrize("network", [Viewed, Merged, WhileTraining])
@pytest.mark.parametrize("name", ["vanilla", "gradient norm"])
def test_a_network_that_takes_views_of_its_activations_is_trained_as_it_is(network, name):
    images = torch.randint(256, (24, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    coloured = Split(images, torch.arange(24) % C, torch.arange(24))
    recipe = Recipe(1, 8, ADAMW, Augmentation(1, True))
    with torch.random.fork_rng(devices=[]):
        model = network(64, C)
    train_classifier(model, coloured, coloured, OBJECTIVES[name], None, recipe, Run(4, "run"))
    assert model.convolution.weight.is_contiguous()


def test_rows_of_a_step_are_those_that_its_batch_is_made_of(data):
    everything, train = data[0], Split(*(part[5:] for part in (data[0].images, data[0].labels, data[0].rows)))
    batches = Batches(train, None, Recipe(2, 8, ADAMW, Augmentation()), 4, torch.device("cpu"))
    for step in range(batches.steps):
        rows = batches.rows(step)
        assert len(rows) == batches.size(step)
        assert torch.equal(batches(step)[0].x, pixels(everything.images[rows]))


def test_a_loss_that_is_not_finite_names_rows_and_remedy(data):
    def broken(network, batch, generator):
        return {
            "loss": network(batch.x).sum() * torch.nan,
            "cross_entropy": torch.tensor(1.0),
            "cosine": torch.tensor(torch.nan),
        }

    recipe = Recipe(1, 8, ADAMW, Augmentation())
    with pytest.raises(
        FloatingPointError,
        match=r"^run: .* in step 1 of 4, .* rows (\d+, ){7}\d+; .*: the target gradients of these rows",
    ):
        train_classifier(_model(), *data[:2], broken, None, recipe, Run(4, "run"))


@pytest.mark.parametrize("name", ["vanilla", "aligned"])
def test_a_last_batch_of_one_example_that_batch_norm_refuses_is_told(data, name):
    train, validation, targets = data
    model = nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, C))
    nine = Split(train.images[:9], train.labels[:9], train.rows[:9])
    aligned = AlignedTargets(targets, "log_softmax", classes_per_step=2) if name == "aligned" else None
    recipe = Recipe(1, 8, ADAMW, Augmentation())
    with pytest.raises(InputError, match=r"training\.batch_size leaves a batch of one example.*more than 1 value"):
        train_classifier(model, nine, validation, OBJECTIVES[name], aligned, recipe, Run(4, name))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_interrupted_training_ends_with_the_same_weights(data, name, tmp_path):
    whole, curves = _train(data, name)
    file = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        _train(data, name, file, stop_after=7)
    resumed, resumed_curves = _train(data, name, file)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key])
    assert curves == resumed_curves
    assert not whole.training


@pytest.mark.parametrize("name", ["aligned", "aligned margin"])
def test_training_from_disk_with_batches_made_ahead_is_training_from_memory(data, tmp_path, name):
    g = np.random.default_rng(1).normal(size=(36, C, 1, 8, 8)).astype(np.float32)
    create_gradients(tmp_path / "g.zarr", g.shape, 36)
    write_shard(tmp_path / "g.zarr", 0, g)
    stores = [open_targets(tmp_path / "g.zarr", preload) for preload in (True, False)]
    assert [store.device for store in stores] == [torch.device("cpu"), None]
    (memory, curves), (disk, disk_curves) = (_train((*data[:2], store), name) for store in stores)
    assert all(torch.equal(value, disk.state_dict()[key]) for key, value in memory.state_dict().items())
    assert curves == disk_curves


def test_training_draws_among_the_classes_that_an_image_has_targets_of(data, tmp_path):
    classes = np.stack([np.delete(np.arange(C), row % C) for row in range(36)])
    g = np.random.default_rng(1).normal(size=(36, C, 1, 8, 8)).astype(np.float32)
    create_gradients(tmp_path / "g.zarr", (36, C - 1, 1, 8, 8), 36, classes=classes, num_classes=C)
    write_shard(tmp_path / "g.zarr", 0, g[np.arange(36)[:, None], classes])
    store, seen = open_targets(tmp_path / "g.zarr"), []

    def watch(network, batch, generator):
        seen.append((batch.x, batch.classes))

    _, curves = _train((*data[:2], store), "aligned", watch=watch)
    assert {c.shape[1] for _, c in seen} == {C - 1}  # k = 2 of the two that there are
    counts = torch.cat([c.flatten() for _, c in seen]).bincount(minlength=C)
    assert (counts == counts[0]).all()
    assert all("validation_cosine" in row for row in curves)


def test_targets_that_the_objective_asks_for_are_those_of_the_augmented_images(data):
    train, _, store = data
    recipe, classes = Recipe(2, 8, ADAMW, Augmentation(1, True)), torch.tensor([[2, 0]])
    targets = AlignedTargets(store, "log_softmax", 2, by_prediction=True)
    batches = Batches(train, targets, recipe, 4, torch.device("cpu"))
    for step in range(4):
        batch, _ = batches(step)
        rows, views = batches.rows(step), recipe.augmentation.draw(batches.size(step), torch_stream(4, "step", step))
        x, asked = pixels(train.images[rows]), classes.expand(len(rows), -1)
        assert torch.equal(batch.x, views(x))
        assert torch.equal(batch.stored.gather(asked), views(store.gather(rows, asked, x)))
        assert torch.equal(batch.stored.classes, torch.arange(C).expand(len(rows), C))
        assert batch.stored.classes_per_step == 2
        assert batch.classes is batch.targets is None


STEPS, FREEZE = 12, 0.5  # 3 epochs of 4 steps: the statistics freeze in the middle of the second


def _statistics(model):
    return {key: value.clone() for key, value in model.state_dict().items() if "running" in key or "num_batches" in key}


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("stop_after", [6, 10])
def test_run_interrupted_around_the_freeze_ends_with_the_same_weights(data, name, tmp_path, stop_after):
    options = {"norm": "batch", "frozen_from": FREEZE}
    whole, curves = _train(data, name, **options)
    file = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        _train(data, name, file, stop_after=stop_after, **options)
    resumed, resumed_curves = _train(data, name, file, **options)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key])
    assert curves == resumed_curves


@pytest.mark.parametrize("name", OBJECTIVES)
def test_statistics_freeze_at_their_point_and_all_parameters_go_on(data, name):
    states = []
    final, _ = _train(
        data, name, norm="batch", frozen_from=FREEZE,
        watch=lambda of, *_: states.append((_statistics(of.model), [p.detach().clone() for p in of.model.parameters()])),
    )  # fmt: skip
    statistics = [state for state, _ in states] + [_statistics(final)]
    moved = [any(not torch.equal(a[key], b[key]) for key in a) for a, b in itertools.pairwise(statistics)]
    assert moved == [True] * round(FREEZE * STEPS) + [False] * round((1 - FREEZE) * STEPS)
    assert all(not torch.equal(a, b) for a, b in zip(states[-1][1], states[6][1], strict=True))


def test_frozen_network_is_the_network_of_evaluation_mode():
    model, x = _model(norm="batch"), torch.rand(6, *SHAPE)
    model.train()(x)
    expected = model.eval()(x)
    train_with_statistics(model, frozen=True)
    assert model.training
    torch.testing.assert_close(model(x), expected, rtol=0, atol=0)
    train_with_statistics(model, frozen=False)
    assert not torch.allclose(model(x), expected)


def test_networks_without_batch_norm_do_not_see_the_freeze(data):
    (free, _), (frozen, _) = _train(data, "aligned"), _train(data, "aligned", frozen_from=FREEZE)
    assert all(torch.equal(value, frozen.state_dict()[key]) for key, value in free.state_dict().items())


def test_steps_know_how_far_the_run_is(data):
    seen = []
    _train(data, "vanilla", watch=lambda network, batch, generator: seen.append(batch.progress))
    assert seen == [step / STEPS for step in range(STEPS)]


def test_alignment_training_aligns(data):
    _, curves = _train(data, "aligned", epochs=12)
    assert curves[-1]["validation_cosine"] > curves[0]["validation_cosine"] + 0.1
    assert curves[-1]["cosine"] > curves[0]["cosine"] + 0.1
