"""The stages that make and read stores of a part of the classes, and what they need before they begin."""

import json
import shutil
from pathlib import Path

import artifacts
import numpy as np
import pytest
import torch
from artifacts import SEED, write_ten_images

from pag.base.errors import InputError
from pag.data.image_store import ImageStore, pixels
from pag.diffusion.model import DiffusionConfig, save_diffusion
from pag.targets.gradient_store import create_gradients, write_shard
from pag.targets.kinds import open_targets
from pag.targets.score_based import image_classes
from pag.training import classifier as classifier_training
from stages import evaluate, score_targets, train, visualize
from stages.params.architectures import read_architecture
from stages.params.evaluation import EvaluationParams
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
PATHS = DatasetPaths("digits")
UNET = {"base_channels": 32, "channel_mult": (1,), "num_res_blocks": 1, "attention_downsamplings": (), "num_heads": 1,
        "dropout": 0.0, "scale_shift_norm": True}  # fmt: skip
KEPT = {"source": "score_based", "timestep": 500, "draws": 1, "shard_size": 3, "classes_per_image": 4, "dtype": "int8"}


def _params(**target):
    kept = json.dumps({**KEPT, **target})
    return Params(PARAMS_FILE, [f"params/digits.yaml:targets.score_based={kept}"])


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Images of 10 classes and a diffusion model of random weights, in a working directory."""
    monkeypatch.chdir(tmp_path)
    write_ten_images(PATHS, 8)
    torch.manual_seed(0)
    model = DiffusionConfig((1, 8, 8), 10, UNET, "cosine", 1000, learned_variance=False).build()
    for parameter in model.network.parameters():
        if not parameter.any():  # a network before training gives all labels the same
            torch.nn.init.normal_(parameter, std=0.1)
    PATHS.diffusion(SEED).mkdir(parents=True)
    save_diffusion(PATHS.diffusion(SEED), model)


def _stored(params):
    score_targets.run(params, "digits", "train", SEED)
    return open_targets(PATHS.targets("score_based", SEED))


def test_score_targets_distils_the_classes_of_each_image_whatever_the_shards(made):
    every = _stored(_params(classes_per_image=None, dtype="float16"))
    some, again = _stored(_params(dtype="float16")), _stored(_params(dtype="float16", shard_size=7))
    coarse = _stored(_params())
    classes = some.stored_classes(torch.arange(10))
    assert torch.equal(classes, image_classes(SEED, "train", torch.arange(10), 10, 4))
    g, *others = (store.gather(torch.arange(10), classes, torch.empty(0)) for store in (every, some, again, coarse))
    for other in others[:2]:
        torch.testing.assert_close(other, g, rtol=2e-3, atol=2e-3)
    assert torch.nn.functional.cosine_similarity(others[2].flatten(2), g.flatten(2), dim=2).min() > 0.999


def test_more_classes_an_image_than_there_are_is_an_error(made):
    with pytest.raises(InputError, match="classes_per_image is 11, and there are 10"):
        _stored(_params(classes_per_image=11))


@pytest.mark.parametrize(
    ("shape", "classes", "timesteps", "told"),
    [
        ((1, 8, 8), 9, 1000, r"diffusion model of \(C, ch\) = \(9, 1\), and the images have \(10, 1\)"),
        ((3, 8, 8), 10, 1000, r"diffusion model of \(C, ch\) = \(10, 3\), and the images have \(10, 1\)"),
        ((1, 8, 8), 10, 400, "diffusion model of T = 400, and timestep 500 is asked for"),
    ],
)
def test_the_diffusion_model_of_other_images_is_refused(made, shape, classes, timesteps, told):
    model = DiffusionConfig(shape, classes, UNET, "cosine", timesteps, learned_variance=False).build()
    save_diffusion(PATHS.diffusion(SEED), model)
    with pytest.raises(InputError, match=told):
        score_targets.run(_params(), "digits", "train", SEED)
    assert not PATHS.targets("score_based", SEED).exists()


@pytest.mark.parametrize("scarce", ["disk", "memory"])
def test_score_targets_needs_room_before_it_begins(made, monkeypatch, scarce):
    free = {"disk": 10**12, "memory": 10**12, scarce: 10}
    monkeypatch.setattr("pag.machine.capacity.shutil.disk_usage", lambda path: type("Disk", (), {"free": free["disk"]}))
    monkeypatch.setattr(
        "pag.machine.capacity.psutil.virtual_memory", lambda: type("Memory", (), {"available": free["memory"]})
    )
    with pytest.raises(InputError, match=r"MB (are|of memory are) needed"):
        score_targets.run(_params(), "digits", "train", SEED)
    assert not PATHS.targets("score_based", SEED).exists()


def test_training_needs_room_for_the_images_before_it_begins(made, monkeypatch):
    needed = (1 + 8) * 10 * 8 * 8  # ten images, a byte a value; as a batch in float32 with its gradient eight more
    available = needed - 1
    monkeypatch.setattr("pag.machine.ranks.torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(
        "pag.machine.capacity.psutil.virtual_memory", lambda: type("Memory", (), {"available": available})
    )
    with pytest.raises(InputError, match="of memory are needed"):
        train.run(_params(), Cell("digits", "resnet8", "vanilla", SEED))
    available = needed
    monkeypatch.setattr(train, "train_classifier", _begun)
    with pytest.raises(KeyboardInterrupt):
        train.run(_params(), Cell("digits", "resnet8", "vanilla", SEED))


def _begun(*arguments, **options):
    raise KeyboardInterrupt


def test_store_that_does_not_fit_into_memory_is_read_from_the_disk(tmp_path, monkeypatch):
    create_gradients(tmp_path / "g.zarr", (4, 3, 1, 2, 2), 4)
    write_shard(tmp_path / "g.zarr", 0, np.ones((4, 3, 1, 2, 2)))
    size = 4 * 3 * 4 * 2
    for available, device in ((2 * size, torch.device("cpu")), (2 * size - 1, None)):
        monkeypatch.setattr(
            "pag.machine.capacity.psutil.virtual_memory", lambda a=available: type("Memory", (), {"available": a})
        )
        assert open_targets(tmp_path / "g.zarr").device == device


def test_classifiers_are_trained_measured_and_drawn_with_some_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = [
        "grid.aligned_margin.methods=[]",
        "grid.aligned=[score_based]",
        "grid.lambdas=[]",
        "grid.baselines=[]",
        "params/digits.yaml:training.epochs=1",
    ]
    params = Params(PARAMS_FILE, few)
    artifacts.write_all(params, "digits", "resnet8")
    images = ImageStore.open(PATHS.images)
    rows = images.all_training().rows
    classes = image_classes(0, "train", rows, 4, 2).numpy()
    for path in (PATHS.targets("score_based", SEED), PATHS.test_targets):
        shutil.rmtree(path, ignore_errors=True)
        create_gradients(path, (len(rows), 2, 1, 8, 8), len(rows), "int8", classes, num_classes=4)
        write_shard(path, 0, np.random.default_rng(0).normal(size=(len(rows), 2, 1, 8, 8)))
    monkeypatch.setattr(train, "_validation_robustness", lambda *arguments: {})
    monkeypatch.setattr(ImageStore, "split", lambda store, name: store.all_training())  # none of them is for validation
    train.run(params, Cell("digits", "resnet8", "score_based", SEED, SEED))
    model = train.build(image_shape=(1, 8, 8), num_classes=4, **read_architecture(params, "resnet8").options).eval()
    drawn = torch.randint(256, (len(rows), 1, 8, 8), dtype=torch.uint8)
    reference = open_targets(PATHS.test_targets)
    cosines = evaluate._cosines(
        model, pixels(drawn), reference, params.dataset("digits").read("evaluation", EvaluationParams)
    )
    expected = classifier_training._mean_cosine(model, drawn, rows, reference, "log_softmax")
    assert float(cosines.double().mean()) == pytest.approx(expected, rel=1e-5)
    assert dict(visualize._targets(params, PATHS, images, SEED)) == {}  # figure 7 has no store of all classes
