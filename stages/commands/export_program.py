"""`export program`: a classifier for those who do not have this repository: a program of torch, ONNX, and its card."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import write_json
from pag.evaluation.metrics import Metrics, read_metrics
from pag.figures.names import eps_text, norm_name, percent
from pag.networks.classifier import check_classifier, load_classifier
from stages.commands.exported import check_weights
from stages.params.reading import Params
from stages.paths import DATA, Cell

__all__ = ["run"]

BATCHES = Dim("batch", min=1, max=2**16)
EXAMPLES = 2  # images that the program is traced with
OPSET = 18


def run(params: Params, cell: Cell, out: Path, onnx: bool) -> Path:
    """Writes `model.pt2`, `model.onnx` where asked for, `config.json`, `metrics.json` of an evaluated one, and `README.md`.

    Args:
        params: not read; the classifier is the cell's own.
        cell: trained.
        out: a new folder outside `data/`.
        onnx: whether to write ONNX, too.

    Raises:
        InputError: the cell is not there, was evaluated with other weights, or cannot be exported, or the folder is there.
    """
    if Path(os.path.realpath(out)).is_relative_to(
        os.path.realpath(DATA)
    ):  # not `resolve`, which raises on links in a circle
        raise InputError(f"{out} is in {DATA}/, which belongs to the pipeline; give another folder with --out.")
    if out.exists():
        raise InputError(f"{out} already exists; give a new folder with --out.")
    names = {"dataset": cell.dataset, "architecture_name": cell.architecture, "seed": cell.seed}
    config = check_classifier(cell.classifier, names)
    model, measured = load_classifier(cell.classifier), cell.evaluation / "metrics.json"
    metrics = read_metrics(measured) if measured.exists() else None
    if metrics is not None:
        check_weights(cell, metrics, model)
    x = torch.linspace(0, 1, EXAMPLES * _values(config)).reshape(EXAMPLES, *config["image_shape"])
    with written_whole(out) as folder:
        folder.mkdir()
        torch.export.save(_program(model, x, cell.architecture), folder / "model.pt2")
        if onnx:
            _write_onnx(folder / "model.onnx", model, x, cell.architecture)
        write_json(folder / "config.json", config)
        if metrics is not None:
            write_json(folder / "metrics.json", metrics.model_dump(mode="json", by_alias=True, exclude_none=True))
        (folder / "README.md").write_text(_card(config, metrics, onnx), encoding="utf-8")
    return out


def _values(config: dict[str, Any]) -> int:
    channels, height, width = config["image_shape"]
    return int(channels * height * width)


def _program(model: nn.Module, x: Tensor, architecture: str) -> ExportedProgram:
    """The network as a program of any batch size; it can be differentiated, so that attacks can be run on it."""
    with _told(f"{architecture} cannot be written as a torch.export program"):
        return torch.export.export(model, (x,), dynamic_shapes=({0: BATCHES},))


def _write_onnx(path: Path, model: nn.Module, x: Tensor, architecture: str) -> None:
    """Writes the network for ONNX Runtime and its like."""
    with _told(f"{architecture} cannot be written as ONNX; --no-onnx leaves it out"):
        program = torch.onnx.export(
            model, (x,), dynamo=True, dynamic_shapes=({0: BATCHES},), opset_version=OPSET,
            input_names=["images"], output_names=["logits"], verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(path)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Raises InputError with the first line of what an exporter finds, of many kinds; what it prints of its steps is dropped."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{what} ({reason.rstrip('.')}).") from error


def _card(config: dict[str, Any], metrics: Metrics | None, onnx: bool) -> str:
    channels, height, width = config["image_shape"]
    names = ", ".join(config["class_names"])
    in_onnx = "- `model.onnx`: the same for ONNX Runtime, without gradients.\n" if onnx else ""
    evaluated = "- `metrics.json`: all measurements.\n" if metrics else ""
    return f"""# {config["dataset"]}: {config["method"]["label"]}

An image classifier, trained on {config["dataset"]} with the method `{config["method"]["name"]}` of the Python package `pag`, after
Ganz, Kawar and Elad, "Do Perceptually Aligned Gradients Imply Robustness?" (ICML 2023).

- Input: `(B, {channels}, {height}, {width})`, float32, pixels in [0, 1]; the normalisation is part of the network.
- Output: logits `(B, {config["num_classes"]})` of the classes {names}.
- `model.pt2`: a `torch.export` program for any batch size; it needs only torch.
{in_onnx}- `config.json`: how it was trained.
{evaluated}
{_measured(metrics)}

```python
import torch

model = torch.export.load("model.pt2").module()
logits = model(torch.rand(1, {channels}, {height}, {width}))
```

It can be differentiated with respect to its input, so gradient attacks run on it as on any module. It is meant for robustness
research and was not tested for other uses.
"""


def _measured(metrics: Metrics | None) -> str:
    """What was measured, with intervals, and whether it is to be believed."""
    if metrics is None:
        return "It was not evaluated."
    lines = [f"- clean: {_interval(metrics.clean.triple)}, on {metrics.clean.n} test images"]
    for name, of in metrics.autoattack.items():
        doubts = metrics.doubts(f"autoattack.{name}")
        doubt = f"; unreliable, since checks failed: {', '.join(doubts)}" if doubts else ""
        threat = f"AutoAttack in {norm_name(of.norm)}, ε = {eps_text(of.eps)}"
        lines.append(f"- {threat}: {_interval(of.triple)}, on {of.n}{doubt}")
    return "\n".join(["Accuracy, with its confidence interval:", "", *lines])


def _interval(triple: tuple[float, float, float]) -> str:
    value, low, high = map(percent, triple)
    return f"{value} [{low}, {high}]"
