"""`export robustbench`: a cell as RobustBench's model zoo takes it, weights, model class and `model_info`.

https://github.com/RobustBench/robustbench says what a submission has: a network on pixels in [0, 1] that a class makes without
arguments, its state dict, `models/<dataset>/<threat>/<name>.pt`, and `model_info/<dataset>/<threat>/<name>.json`, with numbers as
text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import write_json
from pag.evaluation.metrics import AutoAttacked, Metrics, read_metrics
from pag.networks.classifier import check_classifier, load_classifier
from stages.commands.exported import check_weights
from stages.commands.standalone import standalone_source
from stages.params.reading import Params
from stages.paths import DATA, Cell

__all__ = ["Submission", "run"]

NORMS = {"l2": "L2", "linf": "Linf"}  # RobustBench's names of the threats that AutoAttack measures
RANKED = {"cifar10": {"L2": "0.5", "Linf": "8/255"}, "cifar100": {"Linf": "8/255"}}  # ε of its leaderboards


@dataclass(frozen=True)
class Submission:
    """What the leaderboard shows of a model beside its numbers.

    Attributes:
        name: its key in the model zoo, `<Surname><Year><FirstWord>`; None: after method and architecture.
        title, link, authors, venue: of the paper.
    """

    name: str | None = None
    title: str = ""
    link: str = ""
    authors: str = ""
    venue: str = ""


def run(params: Params, cell: Cell, threat: str, out: Path, submission: Submission) -> Path:
    """Writes the files of a cell under `out`, which may be a checkout of RobustBench.

    Args:
        params: not read; results are the cell's own.
        cell: trained and evaluated.
        threat: a name among its evaluation's AutoAttack results.
        out: a folder outside `data/`.
        submission: how the leaderboard names it.

    Raises:
        InputError: the cell is not there, was evaluated with other weights, has no such threat, or RobustBench has none.
    """
    if out.resolve().is_relative_to(DATA.resolve()):
        raise InputError(f"{out} is in {DATA}/, which belongs to the pipeline; give another folder with --out.")
    metrics = read_metrics(cell.evaluation / "metrics.json")
    attacked = _attacked(metrics, threat, cell)
    names = {"dataset": cell.dataset, "architecture_name": cell.architecture, "seed": cell.seed}
    config = check_classifier(cell.classifier, names)
    model = load_classifier(cell.classifier)
    check_weights(cell, metrics, model)
    name, where = _name(cell, submission), Path(cell.dataset) / NORMS[attacked.norm]
    source = standalone_source(
        name.replace("-", "_"), config["architecture"], config["image_shape"], config["num_classes"]
    )
    module = f"{name.lower().replace('-', '_')}.py"
    _write_text(out / "robustbench/model_zoo/architectures" / module, source)
    _write_weights(out / "models" / where, name, model.state_dict())
    info = out / "model_info" / where / f"{name}.json"
    info.parent.mkdir(parents=True, exist_ok=True)
    write_json(info, _model_info(cell, metrics, threat, config, submission))
    ranked = RANKED.get(cell.dataset, {}).get(NORMS[attacked.norm])
    if ranked != _eps(attacked):
        print(f"RobustBench has no leaderboard for {cell.dataset} under {NORMS[attacked.norm]}, eps {_eps(attacked)}.")
    return info


def _attacked(metrics: Metrics, threat: str, cell: Cell) -> AutoAttacked:
    if cell.dataset.startswith("imagenet"):
        raise InputError("RobustBench prepares ImageNet's images and networks in its own way; export by hand.")
    if threat not in metrics.autoattack:
        known = ", ".join(metrics.autoattack) or "none"
        raise InputError(f"{cell.evaluation} has no AutoAttack results for the threat {threat!r} (it has {known}).")
    attacked = metrics.autoattack[threat]
    if attacked.norm not in NORMS:
        raise InputError(f"RobustBench has no threat in the norm {attacked.norm} (it has {', '.join(NORMS)}).")
    return attacked


def _name(cell: Cell, submission: Submission) -> str:
    name = submission.name or f"PAG_{cell.method}_{cell.architecture}"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InputError(f"--name takes letters, digits, _ and -, and begins with a letter, not {name!r}.")
    return name


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _write_weights(folder: Path, name: str, state: Mapping[str, Tensor]) -> None:
    """As RobustBench loads them, `torch.load` of a plain state dict, and as safetensors, which nothing needs to be trusted for."""
    weights = {key: value.contiguous().cpu() for key, value in state.items()}
    with written_whole(folder / f"{name}.pt") as partial:
        torch.save(weights, partial)
    with written_whole(folder / f"{name}.safetensors") as partial:
        save_file(weights, partial)


def _model_info(
    cell: Cell, metrics: Metrics, threat: str, config: Mapping[str, Any], submission: Submission
) -> dict[str, Any]:
    attacked = metrics.autoattack[threat]
    accuracy = _percent(attacked.value)
    return {
        "link": submission.link,
        "name": submission.title or f"{metrics.method.label}, by perceptually aligned gradients",
        "authors": submission.authors,
        "additional_data": False,
        "number_forward_passes": 1,
        "dataset": cell.dataset,
        "venue": submission.venue or "Unpublished",
        "architecture": cell.architecture,
        "eps": _eps(attacked),
        "clean_acc": _percent(metrics.clean.value),
        "reported": accuracy,
        "autoattack_acc": accuracy,
        "footnote": _footnote(metrics, threat, config),
        "unreliable": bool(metrics.doubts(f"autoattack.{threat}")),
    }


def _footnote(metrics: Metrics, threat: str, config: Mapping[str, Any]) -> str:
    """What a reader of the numbers must know: on how many images they are, what was generated, which checks failed."""
    sentences, attacked = [], metrics.autoattack[threat]
    if attacked.n != metrics.clean.n:
        sentences.append(f"AutoAttack on the first {attacked.n} of {metrics.clean.n} test images.")
    if config.get("generated"):
        sentences.append(f"It uses additional {config['generated']['images']} synthetic images in training.")
    doubts = metrics.doubts(f"autoattack.{threat}")
    if doubts:
        sentences.append(f"Checks of the evaluation failed: {', '.join(doubts)}.")
    return " ".join(sentences)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _eps(attacked: AutoAttacked) -> str:
    """As RobustBench writes it: `8/255` in L∞, where it is such a fraction, else `0.5`."""
    levels = 255 * attacked.eps
    if attacked.norm == "linf" and abs(levels - round(levels)) < 1e-6:
        return f"{round(levels)}/255"
    return f"{attacked.eps:g}"
