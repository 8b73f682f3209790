"""The code blocks of `docs/library.md` run, one after the other, and show every function that the package offers."""

import inspect
import re
from pathlib import Path

import numpy as np
import torch
from torch import nn

import pag
from pag.base.vocabulary import Method
from pag.networks.architectures import build
from pag.networks.classifier import save_classifier
from pag.targets.heuristic_store import write_representatives

GUIDE = Path(__file__).parents[2] / "docs" / "library.md"
BLOCK = re.compile(r"^(?:<!-- (?P<reason>.*) -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    """The code and line of each block that is run, and the reasons of those that are not."""
    text = GUIDE.read_text(encoding="utf-8")
    found = [(m["code"], text[: m.start("code")].count("\n"), m["reason"]) for m in BLOCK.finditer(text)]
    assert len(found) == text.count("```python")
    return [(code, line) for code, line, reason in found if reason is None], [r for *_, r in found if r is not None]


def make_artifacts():
    """What the guide reads of a run of the pipeline: a store of targets and a classifier."""
    store = Path("data/digits/targets/nearest_neighbor_own_class.zarr")
    store.parent.mkdir(parents=True)
    write_representatives(store, np.zeros((4, 8, 8, 1), np.float32), "own_class", np.arange(40) % 4)
    folder = Path("data/digits/classifiers/resnet8-score_based")
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


def test_the_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_artifacts()
    run, not_run = blocks()
    torch.manual_seed(0)
    namespace = {"__name__": "guide"}
    for code, line in run:
        exec(compile("\n" * line + code, str(GUIDE), "exec"), namespace)
    assert all(reason.startswith("not run: ") for reason in not_run)
    assert namespace["targets"].shape == namespace["score_based"].shape == (40, 4, 1, 8, 8)


def test_every_function_is_shown():
    code = "\n".join(code for code, _ in blocks()[0])
    functions = [name for name in pag.__all__ if inspect.isfunction(getattr(pag, name))]
    assert {name for name in functions if f"pag.{name}(" not in code} <= {"load_diffusion", "save_diffusion"}
    assert set(re.findall(r"\bpag\.(\w+)", code)) <= set(pag.__all__)
