"""One row of Table 1 from images to AutoAttack by the pipeline's own stages: the time of each, and its share of the chip's peak.

By default CIFAR-10, ResNet-18 and score-based targets at the paper's size, which is for a GPU; `--set` makes anything smaller of
it. It works in a folder of its own, where a second call goes on from what is there. It was never run at its size.

    python benchmarks/cifar10_row.py --folder row --classes-per-step 1,2,10
    python benchmarks/cifar10_row.py --folder try --quick                         # digits, a minute on a CPU
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from measuring import ROOT, machine
from pag.base.json_files import json_text, read_json, write_json
from pag.data.image_store import ImageStore
from pag.networks.architectures import build
from stages.cells import chosen_targets_seed, named_cell
from stages.params.architectures import read_architecture
from stages.params.diffusion import DiffusionParams
from stages.params.methods import training_section
from stages.params.reading import Params
from stages.params.targets import ScoreBasedParams
from stages.paths import DatasetPaths
from stages.train_diffusion import diffusion_config

METHOD = "score_based"
STAGES = ("prepare", "train_diffusion", "score_targets", "train", "evaluate")
PEAKS = {
    "H200": 494.5,
    "H100": 494.5,
    "A100": 156.0,
    "L40S": 183.0,
    "4090": 82.6,
}  # TFLOP/s of dense TF32 by the makers' sheets
QUICK = (
    "params/digits.yaml:diffusion.steps=20", "params/digits.yaml:training.epochs=2",
    "params/digits.yaml:evaluation.examples=8", "params/digits.yaml:evaluation.block_size=8",
)  # fmt: skip


def cifar10_row(
    folder: Annotated[Path, typer.Option(help="Where the artifacts go; absent, or one of an earlier call.")],
    classes_per_step: Annotated[str, typer.Option(help="k, several with commas: each trains a classifier.")] = "10",
    dataset: Annotated[str, typer.Option()] = "cifar10",
    architecture: Annotated[str, typer.Option()] = "resnet18",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE on top of params.yaml.")] = None,
    peak: Annotated[float | None, typer.Option(help="TFLOP/s of the chip, where it is not in the table.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Digits, a few steps: does it run?")] = False,
) -> None:
    """Runs the stages, prints the table of each k and writes `row.json` into the folder."""
    if quick:
        dataset, architecture, set_ = "digits", "resnet8", [*QUICK, *(set_ or ())]
    if not torch.cuda.is_available():
        Console(stderr=True).print("There is no GPU: at the paper's size this takes weeks on a CPU.")
    folder.mkdir(parents=True, exist_ok=True)
    chip = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    tera = peak if peak is not None else next((p for name, p in PEAKS.items() if name in (chip or "")), None)
    runs = []
    for k in [int(part) for part in classes_per_step.split(",")]:
        key = f"params/{dataset}.yaml:methods.{METHOD}.classes_per_step={k}"
        runs.append(_run(folder, dataset, architecture, [*(set_ or ()), key], k, tera))
        Console().print(_table(runs[-1], chip))
        write_json(folder / "row.json", {"machine": machine(), "peak_tflops": tera, "runs": runs})


def _run(
    folder: Path, dataset: str, architecture: str, overrides: list[str], k: int, tera: float | None
) -> dict[str, Any]:
    """Runs what of the row is not there yet, and gives its times and results."""
    params, paths, classifier = Params(ROOT / "params.yaml", overrides), DatasetPaths(dataset), folder / f"k{k}"
    cell, seed = named_cell(params, dataset, architecture, METHOD), chosen_targets_seed(params)
    _stage(folder, overrides, "prepare", dataset, made=folder / paths.images)
    _stage(folder, overrides, "train-diffusion", dataset, made=folder / paths.diffusion(seed))
    _stage(folder, overrides, "score-targets", dataset, made=folder / paths.targets(METHOD, seed))
    _stage(folder, overrides, "score-targets", dataset, "--split", "test", made=folder / paths.test_targets)
    if not classifier.exists():
        for command in ("train", "evaluate"):
            _stage(folder, overrides, command, dataset, "--architecture", architecture, "--method", METHOD)
        classifier.mkdir()
        (folder / cell.classifier).rename(classifier / "classifiers")
        (folder / cell.evaluation).rename(classifier / "evaluations")
        (classifier / "times.json").write_text(json_text(_times(folder)), encoding="utf-8")
    times, metrics = read_json(classifier / "times.json"), read_json(classifier / "evaluations" / "metrics.json")
    work = _work(params, ImageStore.open(folder / paths.images), dataset, architecture, k)
    seconds = {stage: _of(times, stage, dataset) for stage in STAGES}
    shares = {stage: flop / seconds[stage] / tera / 1e12 for stage, flop in work.items() if tera is not None}
    robust = {name: threat["value"] for name, threat in metrics["autoattack"].items()}
    validation = read_json(classifier / "classifiers" / "metrics.json")["validation"]  # what k is chosen by
    result = {"clean": metrics["clean"]["value"], "robust": robust, "validation": validation}
    return {"k": k, "seconds": seconds, "flop": work, "share_of_peak": shares, **result}


def _stage(
    folder: Path, overrides: list[str], command: str, dataset: str, *rest: str, made: Path | None = None
) -> None:
    if made is not None and made.exists():
        return
    settings = [part for override in overrides for part in ("--set", override)]
    pag = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); from stages.cli import main; main()"]
    where = ["--dataset", dataset, "--params", str(ROOT / "params.yaml")]
    if subprocess.run([*pag, command, *where, *rest, *settings], cwd=folder, check=False).returncode:
        raise typer.Exit(1)


def _times(folder: Path) -> dict[str, float]:
    lines = (folder / "data" / "times.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["stage"]: row["seconds"] for row in map(json.loads, lines)}


def _of(times: Mapping[str, float], stage: str, dataset: str) -> float:
    return next(seconds for name, seconds in times.items() if name.startswith(f"{stage}@{dataset}"))


def _work(params: Params, store: ImageStore, dataset: str, architecture: str, k: int) -> dict[str, float]:
    """Floating-point operations of the stages that are a known number of passes (docs/cost.md), of which one image's is counted."""
    file, num_classes = params.dataset(dataset), store.num_classes
    target, section = file.read(f"targets.{METHOD}", ScoreBasedParams), file.read("diffusion", DiffusionParams)
    train, every = len(store.split("train").rows), len(store.all_training().rows)
    options = read_architecture(params, architecture).options
    classifier = build(image_shape=store.image_shape, num_classes=num_classes, **options)
    diffusion = diffusion_config(store, section).build()
    f = _counted(classifier, torch.rand(1, *store.image_shape))
    noisy, zero = torch.rand(1, *diffusion.config.image_shape), torch.zeros(1, dtype=torch.int64)
    u = _counted(diffusion.network, noisy, zero.float(), zero)
    epochs = training_section(params, dataset, architecture, METHOD).epochs
    m = num_classes if target.classes_per_image is None else target.classes_per_image
    return {
        "train_diffusion": 3.0 * u * section.steps * section.batch_size,
        "score_targets": float(u * every * (m + 1) * target.draws),
        "train": float((3 + 3 * min(k, num_classes)) * f * train * epochs),
    }


@torch.no_grad()
def _counted(network: nn.Module, *inputs: Tensor) -> int:
    """Of a forward pass."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(*inputs)
    return int(counter.get_total_flops())


def _table(run: Mapping[str, Any], chip: str | None) -> Table:
    robust = ", ".join(f"{name} {100 * value:.1f} %" for name, value in run["robust"].items())
    minutes = sum(run["seconds"].values()) / 60
    title = f"k = {run['k']}: clean {100 * run['clean']:.1f} %, AutoAttack {robust}; {minutes:.1f} minutes"
    table = Table("stage", "seconds", f"of the peak of {chip or 'this CPU'}", title=title)
    for stage, seconds in run["seconds"].items():
        share = run["share_of_peak"].get(stage)
        table.add_row(stage, f"{seconds:.1f}", "" if share is None else f"{100 * share:.0f} %")
    return table


if __name__ == "__main__":
    typer.run(cifar10_row)
