"""Targets relative to the own class, from stored scores and from a teacher: what they are by definition, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from artifacts import write_ten_images
from stored import CH, C, H, N, W
from torch import nn
from typer.testing import CliRunner

from pag.base.errors import InputError
from pag.data.image_store import ImageStore, pixels
from pag.networks.classifier import load_classifier
from pag.targets import teacher
from pag.targets.gradient_store import create_gradients, write_shard
from pag.targets.kinds import open_targets
from pag.targets.relative import OwnClass
from pag.targets.teacher import margin_gradients
from stages import heuristic_targets, teacher_targets, train
from stages.cli import app
from stages.params.check import check
from stages.params.methods import describe
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths

PATHS = DatasetPaths("digits")
SEED = 3407
TINY = ("params/digits.yaml:training.epochs=1", "params/digits.yaml:training.validation_attack.steps=1")


def _relative(s, y):
    """By definition, `(C, *)` of scores `(C, *)`."""
    g = s - s[y]
    g[y] = -sum(g[c] for c in range(len(s)) if c != y) / (len(s) - 1)
    return g


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("k", [1, C])
def test_stored_scores_are_read_relative_to_the_own_class(tmp_path, dtype, k):
    rng = np.random.default_rng(0)
    create_gradients(tmp_path / "g.zarr", (N, C, CH, H, W), 3, dtype)
    for shard, rows in enumerate((range(3), range(3, 6), range(6, 7))):
        write_shard(tmp_path / "g.zarr", shard, rng.normal(size=(len(rows), C, CH, H, W)).astype(np.float32))
    labels, rows = torch.from_numpy(rng.integers(0, C, N)), torch.tensor([6, 0, 3, 3, 1])
    classes = torch.from_numpy(np.stack([rng.permutation(C)[:k] for _ in rows]))
    store, x = open_targets(tmp_path / "g.zarr"), torch.zeros(len(rows), CH, H, W)
    stored = store.gather(rows, torch.arange(C).expand(len(rows), -1), x)
    own = OwnClass(store, labels)
    g = own.gather(rows, classes, x)
    assert g.dtype == torch.float32
    for n, row in enumerate(rows):
        torch.testing.assert_close(g[n], _relative(stored[n], labels[row])[classes[n]], rtol=0, atol=1e-6)
    own.check_matches(N, C, (CH, H, W))


def test_scores_of_some_classes_have_no_own_class(tmp_path):
    create_gradients(tmp_path / "g.zarr", (N, 2, CH, H, W), N, classes=np.tile([0, 2], (N, 1)), num_classes=C)
    write_shard(tmp_path / "g.zarr", 0, np.ones((N, 2, CH, H, W), np.float32))
    with pytest.raises(
        InputError, match=r"g\.zarr holds gradients of 2 of 3 classes .* set classes_per_image to null\.$"
    ):
        OwnClass(open_targets(tmp_path / "g.zarr"), torch.zeros(N, dtype=torch.int64))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("methods.kernel.relative_to=own_class", "methods.kernel.relative_to is for scores"),
        ("methods.score_based.relative_to=image", "methods.score_based.relative_to: input should be 'own_class'"),
        ("targets.score_based.classes_per_image=3", "relative_to needs targets of all classes"),
        ("targets.class_mean.relative_to=unconditional", "targets.class_mean.relative_to"),
        ("targets.kernel.sigma=0.0", "targets.kernel.sigma"),
        ("targets.kernel.sigma=-0.5", "targets.kernel.sigma"),
        ("targets.kernel.sigma=wide", "targets.kernel.sigma"),
        ("targets.kernel.neighbors=0", "targets.kernel.neighbors: input should be greater than 0"),
        ("targets.kernel.components=0", "targets.kernel.components: input should be greater than 0"),
    ],
)  # fmt: skip
def test_params_of_what_cannot_be_are_refused_with_their_key(override, told):
    with pytest.raises(InputError, match=told) as refused:
        check(Params(overrides=[f"params/digits.yaml:{override}"]))
    assert str(refused.value).count("\n") == 0


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("grid.teachers.methods=[trades]", "grid.teachers.methods names 'trades', which grid.baselines does not have"),
        ("grid.teachers.methods=[vanilla]", "'teacher_vanilla', which targets of params/digits.yaml does not have"),
        ("grid.teachers={architecture: vit, methods: [at_l2]}", "grid.teachers.architecture names 'vit'"),
        ("grid.teachers.methods=[at_l2, at_l2]", "twice"),
        ("grid.teachers.methods=[score_based]", "names 'score_based', which grid.baselines does not have"),
    ],
)  # fmt: skip
def test_teachers_are_networks_that_the_grid_trains(override, told):
    check(Params(overrides=["grid.teachers.methods=[at_l2, at_linf]"]))
    with pytest.raises(InputError, match=told):
        check(Params(overrides=[override]))


def test_each_seed_of_targets_has_its_teacher():
    seeds = ["grid.teachers.methods=[at_l2]", "grid.targets_seeds=[1, 2]"]
    check(Params(overrides=[*seeds, "grid.seeds=[2, 1]"]))
    with pytest.raises(InputError, match=r"grid\.targets_seeds has 1, with which no teacher is trained"):
        check(Params(overrides=[*seeds, "grid.seeds=[2]"]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel", ("kernel", "own_class", "Kernel", "kernel")),
        ("own_class_with_score_based", ("score_based", "own_class", "SBG (own class)", "score-based")),
        ("teacher_at_l2", ("teacher", None, "Teacher AT L₂", "teacher")),
    ],
)
def test_new_sources_are_called_by_their_names(name, value):
    method = describe(Params(), "digits", name)
    assert (method.kind, method.relative_to, method.label, method.family) == value
    for form in ("image", "unconditional"):
        params = Params(overrides=[f"params/digits.yaml:targets.kernel.relative_to={form}"])
        assert describe(params, "digits", "kernel").label == f"Kernel ({form})"


def test_teacher_targets_are_derivatives_of_margins(monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.SiLU(), nn.Linear(8, C))
    x, y = torch.rand(5, 3, 2, 2), torch.tensor([0, 2, 1, 1, 0])
    g = margin_gradients(model, x, y, C)
    for n in range(5):
        jacobian = torch.autograd.functional.jacobian(lambda one: model(one[None])[0], x[n])
        torch.testing.assert_close(g[n], _relative(jacobian.clone(), y[n]))
        log_probabilities = torch.autograd.functional.jacobian(lambda one: model(one[None])[0].log_softmax(0), x[n])
        torch.testing.assert_close(g[n], _relative(log_probabilities.clone(), y[n]))  # what a log-softmax can follow
    monkeypatch.setattr(teacher, "BATCH", 2)
    torch.testing.assert_close(margin_gradients(model, x, y, C), g)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A teacher of ten images, in a working directory."""
    params = Params(overrides=TINY)
    monkeypatch.chdir(tmp_path)
    write_ten_images(PATHS, 8)
    monkeypatch.setattr(ImageStore, "split", lambda store, name: store.all_training())  # each class has one image
    cell = Cell("digits", "resnet8", "at_l2", SEED)
    train.run(params, cell)
    return params, cell


def test_a_teacher_teaches_those_who_see_its_images(trained):
    params, cell = trained
    teacher_targets.run(params, "digits", "resnet8", "at_l2", SEED)
    store, images = open_targets(PATHS.targets("teacher_at_l2", SEED)), ImageStore.open(PATHS.images)
    every, rows = images.all_training(), torch.arange(10)
    expected = margin_gradients(load_classifier(cell.classifier), pixels(every.images), every.labels, 10)
    g = store.gather(rows, rows.expand(10, -1), pixels(every.images))
    torch.testing.assert_close(g, expected, rtol=2e-3, atol=1e-6)
    pupil = Cell("digits", "resnet8", "teacher_at_l2", SEED, SEED)
    train.run(params, pupil)
    assert load_classifier(pupil.classifier)(pixels(every.images)).isfinite().all()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("images", "0" * 64, "its images is 0000"),
        ("num_classes", 9, "its num_classes is 9, not 10"),
        ("image_shape", [3, 8, 8], r"its image_shape is \[3, 8, 8\]"),
    ],
)
def test_a_teacher_of_another_data_set_is_refused(trained, key, value, told):
    params, cell = trained
    file = cell.classifier / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(InputError, match=rf"config\.json is of another classifier: {told}"):
        teacher_targets.run(params, "digits", "resnet8", "at_l2", SEED)
    assert not PATHS.targets("teacher_at_l2", SEED).exists()
    shutil.rmtree(cell.classifier)
    with pytest.raises(InputError, match=r"config\.json does not exist"):
        teacher_targets.run(params, "digits", "resnet8", "at_l2", SEED)


def test_kernel_targets_of_a_class_of_one_image_end_with_one_sentence(trained):
    params, _ = trained
    with pytest.raises(InputError, match=r"^Class 0 has one training image, or copies of one"):
        heuristic_targets.run(params, "digits", "kernel", SEED)
    assert not PATHS.targets("kernel", SEED).exists()
    for source in ("teacher_at_l2", "score_based"):
        with pytest.raises(InputError, match=f"{source} is no heuristic: `pag .*-targets` asks the"):
            heuristic_targets.run(params, "digits", source, SEED)


@pytest.mark.parametrize("sigma", ["0", "-1", "0.0"])
def test_a_sigma_that_is_not_positive_ends_with_status_two(sigma):
    command = ["heuristic-targets", "--dataset", "digits", "--source", "kernel"]
    ended = CliRunner().invoke(app, [*command, "--set", f"params/digits.yaml:targets.kernel.sigma={sigma}"])
    assert isinstance(ended.exception, InputError)
    assert "targets.kernel.sigma" in str(ended.exception)
