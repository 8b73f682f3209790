"""The Python blocks of the guide run, a page's one after the other, and show every function that the package offers."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from guide import PAGES, ROOT, blocks_of
from torch import nn

import pag
from pag.base.vocabulary import Method
from pag.networks.architectures import build
from pag.networks.classifier import save_classifier
from pag.targets.heuristic_store import write_representatives

PYTHON = {page: [b for b in blocks_of(page) if b.language == "python"] for page in PAGES}
GUIDE = ROOT / "docs" / "library.md"


def run(page):
    """Runs the blocks of a page one after the other, and gives the names that they leave."""
    torch.manual_seed(0)
    namespace = {"__name__": "guide", "torch": torch}
    for block in PYTHON[page]:
        if not block.reason:
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), namespace)
    return namespace


def make_artifacts():
    """What the guide reads of a run of the pipeline: a store of targets and a classifier."""
    store = Path("data/digits/targets/3407/nearest_neighbor_own_class.zarr")
    store.parent.mkdir(parents=True)
    write_representatives(store, np.zeros((4, 8, 8, 1), np.float32), "own_class", np.arange(40) % 4)
    folder = Path("data/digits/classifiers/resnet8-score_based/3407-3407")
    folder.mkdir(parents=True)
    architecture = {
        "family": "resnet",
        "blocks": [1, 1, 1],
        "channels": [4, 4, 4],
        "norm": "none",
        "activation": "silu",
    }
    model = build(image_shape=(1, 8, 8), num_classes=4, **architecture)
    assert isinstance(model, nn.Module)
    method = Method(name="score_based", objective="alignment", source="score_based", kind="score_based", label="SBG")
    save_classifier(folder, model, {
        "architecture": architecture, "image_shape": [1, 8, 8], "num_classes": 4, "dataset": "digits",
        "class_names": list("abcd"), "method": method.model_dump(mode="json"), "lambda": 2.0, "seed": 0,
    })  # fmt: skip


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page, blocks in PYTHON.items() if blocks])
def test_the_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_artifacts()
    namespace = run(page)
    if page == GUIDE:
        assert namespace["targets"].shape == namespace["score_based"].shape == (40, 4, 1, 8, 8)


def test_every_function_is_shown():
    code = "\n".join(block.code for block in PYTHON[GUIDE] if not block.reason)
    functions = [name for name in pag.__all__ if inspect.isfunction(getattr(pag, name))]
    assert {name for name in functions if f"pag.{name}(" not in code} <= {"load_diffusion", "save_diffusion"}
    assert set(re.findall(r"\bpag\.(\w+)", code)) <= set(pag.__all__)
