"""The rule of artifacts: a damaged file reads as it was written, or one sentence names it, and nothing else is changed."""

import json
import os
import random
import zipfile
from pathlib import Path

import artifacts
import pytest
import torch
from artifacts import SEED
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import outcome
from safetensors.torch import save_file
from torch import nn

from pag.base.json_files import read_json
from pag.data.image_store import ImageStore
from pag.diffusion.model import DiffusionConfig, load_diffusion, save_diffusion
from pag.networks.architectures import build
from pag.networks.classifier import load_classifier, save_classifier
from pag.optimization.ema import Ema
from pag.optimization.loop import Run, fit
from pag.optimization.optimizers import adamw
from pag.targets.kinds import open_targets
from pag.toy.networks import MLPEnsemble
from stages import evaluate, evaluate_toy, report, visualize
from stages.params.architectures import read_architecture
from stages.params.reading import Params
from stages.params.toy import ToyParams
from stages.paths import TOY, TOY_NETWORKS, Cell, DatasetPaths
from stages.reporting.methods import by_method
from stages.reporting.results import gather
from stages.reporting.sources import read_kept_run

FEW = [
    "grid.aligned_margin.methods=[]",
    "grid.aligned=[score_based, class_mean, nearest_neighbor]",
    "grid.lambdas=[]",
    "grid.baselines=[vanilla]",
]
PARAMS = Params(overrides=[*FEW, "toy.pairs=2"])
CELL, PATHS = Cell("digits", "resnet8", "vanilla", SEED), DatasetPaths("digits")
STATE, KEPT = Path("state.pt"), Path("results/run.json")
UNET = {"base_channels": 32, "channel_mult": (1,), "num_res_blocks": 1, "attention_downsamplings": (), "num_heads": 1,
        "dropout": 0.0, "scale_shift_norm": True}  # fmt: skip
CLASSES = torch.arange(artifacts.CLASSES)


def write_diffusion():
    torch.manual_seed(0)
    save_diffusion(
        PATHS.diffusion(SEED), DiffusionConfig((1, 8, 8), 4, UNET, "cosine", 50, learned_variance=False).build()
    )


def write_classifier():
    images = ImageStore.open(PATHS.images)
    options = read_architecture(PARAMS, "resnet8").options
    config = {
        "architecture": options, "image_shape": images.image_shape, "num_classes": images.num_classes, "lambda": None,
        "class_names": images.class_names, "dataset": "digits", "seed": SEED, "images": images.checksum,
        "method": artifacts.METHODS["vanilla"].model_dump(mode="json"),
    }  # fmt: skip
    save_classifier(CELL.classifier, build(image_shape=(1, 8, 8), num_classes=4, **options), config)


def trained(steps=4):
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    optimization = adamw(model.parameters(), 6, lr=0.1, weight_decay=0.0, warmup=0.0)
    run = Run(0, "test", checkpoint=STATE)

    def loss(step):
        if step == steps:
            raise KeyboardInterrupt
        return {"loss": model(torch.ones(1, 2)).square().sum()}

    fit(model, loss, optimization, run, report_every=2, ema=Ema(model, 0.5))
    return model


def write_others():
    with pytest.raises(KeyboardInterrupt):
        trained()
    toy = MLPEnsemble((2, 32, 2), [torch.Generator() for _ in range(2)]).state_dict()
    save_file(
        {f"{kind}.{name}": value.clone() for kind in ("vanilla", "aligned") for name, value in toy.items()},
        TOY_NETWORKS,
    )
    KEPT.parent.mkdir()
    cells = [read_json(CELL.evaluation / "metrics.json")]
    KEPT.write_text(
        json.dumps({"hardware": "a", "commit": "0" * 40, "times": {"a": 1.5}, "params": {}, "cells": cells})
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One of each artifact, in a working directory; drawing is left out."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("damages"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visualize, "targeted_grid", lambda *arguments: None)
        patch.setattr(visualize, "targets_by_timestep", lambda *arguments: None)
        patch.setattr(report, "page_chart", lambda *arguments: None)
        artifacts.write_all(PARAMS, "digits", "resnet8")
        write_diffusion()
        write_classifier()
        write_others()
        yield
    os.chdir(before)


def read_images():
    store = ImageStore.open(PATHS.images)
    return [store.split(part) for part in ("train", "test")], store.class_names


def read_targets(name):
    store, images = open_targets(PATHS.targets(name, SEED), preload=False), ImageStore.open(PATHS.images)
    store.check_matches(images.num_training, images.num_classes, images.image_shape)
    rows = torch.arange(images.num_training)
    return store.gather(rows, CLASSES.expand(len(rows), -1), torch.zeros(len(rows), 1, 8, 8))


def read_classifier():
    images = ImageStore.open(PATHS.images)
    return evaluate._subject(CELL, images).method, load_classifier(CELL.classifier)


def read_figures():
    names = ImageStore.open(PATHS.images).class_names
    results = by_method(gather(PARAMS, "digits", "resnet8"))
    return list(visualize._targeted(results, visualize._networks(PARAMS, results), names)), list(
        visualize._by_timestep(PATHS.target_examples(SEED), names)
    )


def read_toy():
    return [evaluate_toy._load(PARAMS.main.read("toy", ToyParams), kind) for kind in evaluate_toy.KINDS]


READERS = {
    "images": (PATHS.images, read_images),
    "gradients": (PATHS.targets("score_based", SEED), lambda: read_targets("score_based")),
    "representatives": (PATHS.targets("class_mean", SEED), lambda: read_targets("class_mean")),
    "neighbours": (PATHS.targets("nearest_neighbor", SEED), lambda: read_targets("nearest_neighbor")),
    "diffusion model": (PATHS.diffusion(SEED), lambda: load_diffusion(PATHS.diffusion(SEED), torch.device("cpu"))),
    "classifier": (CELL.classifier, read_classifier),
    "evaluation": (CELL.evaluation, read_figures),
    "examples": (PATHS.target_examples(SEED), read_figures),
    "toy's networks": (TOY_NETWORKS, read_toy),
    "toy's results": (TOY / "metrics.json", lambda: report._toy(PARAMS)),
    "toy's boundaries": (TOY / "boundaries.safetensors", lambda: report._toy(PARAMS)),
    "kept run": (KEPT, lambda: read_kept_run(KEPT)),
    "checkpoint": (STATE, lambda: trained(6)),
}  # fmt: skip
FOREIGN = [
    b"",
    b"x",
    b"[]",
    b"{}",
    b"null",
    b"[" * 100_000,
    b'{"a": NaN}',
    bytes(64),
    b"\xff\xfe{\x00}\x00",
    b"PK\x03\x04",
]
VALUES = [-1, 0, 10**9, 1e308, "x", [], {}, None, True, [-1], -1e308, "$\n", 3.5, [[0]]]


def overwrite(content):
    return lambda data, draw: content


def cut(data, draw):
    return data[: draw.randrange(len(data) or 1)]


def flip(data, draw):
    at = draw.randrange(len(data) or 1)
    return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :] if data else b"x"


def mutate(data, draw):
    """JSON with another value, or a key less, at any place; what is none is flipped."""
    try:
        value = json.loads(data)
    except ValueError:
        return flip(data, draw)
    node, places = value, []
    while isinstance(node, dict | list) and node:
        key = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
        places.append((node, key))
        node = node[key]
    if not places:
        return b"3"
    node, key = draw.choice(places)
    if isinstance(node, dict) and draw.random() < 0.3:
        del node[key]
    else:
        node[key] = draw.choice(VALUES)
    return json.dumps(value).encode()


DAMAGES = [cut, flip, mutate, mutate, *(overwrite(content) for content in FOREIGN)]


def files_below(path):
    shown = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix not in (".md", ".png"))
    return shown or [path]


@pytest.mark.parametrize("artifact", READERS)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), damage=st.sampled_from(DAMAGES))
def test_a_damaged_artifact_is_told_by_name_or_reads_as_before(made, artifact, seed, damage):
    path, read = READERS[artifact]
    draw = random.Random(seed)
    file = draw.choice(files_below(path))
    whole = file.read_bytes()
    before = {other: other.read_bytes() for other in files_below(Path()) if other not in (file, STATE)}
    file.write_bytes(damage(whole, draw))
    try:
        _, sentence = outcome(read)
    finally:
        file.write_bytes(whole)
    assert sentence is None or str(path) in sentence
    assert all(other.read_bytes() == content for other, content in before.items())


@pytest.mark.parametrize(
    "artifact", [name for name in READERS if name != "checkpoint"]
)  # without one a run begins anew
def test_a_missing_artifact_is_told_by_name(made, artifact):
    path, read = READERS[artifact]
    aside = path.with_name("aside")
    path.rename(aside)
    try:
        _, sentence = outcome(read)
    finally:
        aside.rename(path)
    assert str(path) in sentence


def test_the_evaluation_of_another_cell_is_not_gathered(made):
    other = Cell("digits", "resnet8", "score_based", SEED, SEED)
    file, content = CELL.evaluation / "metrics.json", (CELL.evaluation / "metrics.json").read_bytes()
    file.write_bytes((other.evaluation / "metrics.json").read_bytes())
    try:
        _, sentence = outcome(gather, PARAMS, "digits", "resnet8")
    finally:
        file.write_bytes(content)
    assert sentence == f"{file} is of another classifier, score_based, not vanilla; run `pag evaluate` again."


def stored_values(path):
    """The places of a file's bytes that are values of tensors."""
    whole = path.read_bytes()
    if path.suffix == ".safetensors":
        return range(8 + int.from_bytes(whole[:8], "little"), len(whole))
    with zipfile.ZipFile(path) as archive:
        tensors = [archive.read(name) for name in archive.namelist() if "/data/" in name]
    return [whole.index(tensor) + at for tensor in tensors for at in range(len(tensor))]


@pytest.mark.parametrize(
    "path", [CELL.classifier / "model.safetensors", PATHS.diffusion(SEED) / "model.safetensors", STATE], ids=str
)
@settings(max_examples=10)
@given(place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_weights_with_a_flipped_bit_are_never_used(made, path, place, bit):
    read = next(of for artifact, of in READERS.values() if artifact in (path, path.parent))
    whole = path.read_bytes()
    data, values = bytearray(whole), stored_values(path)
    data[values[int(place * len(values))]] ^= 1 << bit
    path.write_bytes(data)
    try:
        _, sentence = outcome(read)
    finally:
        path.write_bytes(whole)
    assert str(path) in sentence


@pytest.mark.parametrize("artifact", READERS)
def test_whole_artifacts_are_read(made, artifact):
    whole = STATE.read_bytes()
    _, sentence = outcome(READERS[artifact][1])
    STATE.write_bytes(whole)
    assert sentence is None
