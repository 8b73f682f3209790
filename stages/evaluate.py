"""`evaluate`: the only stage that reads the test set. Clean accuracy, attacks, alignment, and large-ε targeted examples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pag.alignment.gradients import alignment
from pag.attacks.pgd import PGD, RestartedPGD
from pag.attacks.threats import Threat
from pag.base.files import read_json, write_json, written_whole
from pag.base.randomness import torch_stream
from pag.data.image_store import ImageStore, pixels
from pag.evaluation.accuracy import (
    AttackOutcome,
    ThreatOutcome,
    evaluate_autoattack,
    evaluate_foolbox,
    evaluate_pgd,
    predictions,
)
from pag.evaluation.intervals import mean_estimate, proportion
from pag.machine.ranks import first
from pag.networks.classifier import load_classifier
from pag.targets.kinds import open_targets
from pag.targets.store import TargetStore
from stages.params.evaluation import EvaluationParams, PGDParams, TargetedParams
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths
from stages.run import stage_run

__all__ = ["FILES", "run", "write_evaluation"]

BATCH = 256
FILES = ("metrics.json", "outcomes.safetensors", "targeted.safetensors")
ModelLoader = Callable[[], nn.Module]


def run(params: Params, cell: Cell, workers: int) -> None:
    """Writes `data/<dataset>/evaluations/<cell>/`: metrics, the outcome of every attack on every example, examples."""
    paths = DatasetPaths(cell.dataset)
    evaluation = params.dataset(cell.dataset).read("evaluation", EvaluationParams)
    inputs = [paths.images, paths.test_targets, cell.classifier]
    with stage_run(
        "evaluate", f"{cell.dataset}-{cell.name}", values=[params.seed, evaluation], inputs=inputs
    ) as checkpoints:
        config = read_json(cell.classifier / "config.json")
        identity = {
            "dataset": cell.dataset, "architecture": cell.architecture, "method": config["method"],
            "lambda": config["lambda"],
        }  # fmt: skip
        loader = partial(load_classifier, cell.classifier)
        write_evaluation(cell.evaluation, identity, loader, params, paths.test_targets, workers, checkpoints)


def write_evaluation(
    folder: Path,
    identity: Mapping[str, object],
    loader: ModelLoader,
    params: Params,
    reference: Path | None,
    workers: int,
    kept: Path,
) -> None:
    """Measures a classifier on the test set of `identity["dataset"]` and writes the three files of an evaluation.

    Under several ranks each does its part of the attacks; the rest is little, and the first's.

    Args:
        folder: where to.
        identity: what `metrics.json` begins with: dataset, architecture, method, λ.
        loader: gives the classifier, in evaluation mode; picklable.
        params: with the data set's section `evaluation`.
        reference: the store of score-based gradients at test images that alignment is measured against; None: it is not measured.
        workers: processes of each rank.
        kept: folder for finished blocks of examples.
    """
    paths = DatasetPaths(str(identity["dataset"]))
    evaluation = params.dataset(paths.dataset).read("evaluation", EvaluationParams)
    model, test = loader(), ImageStore.open(paths.images).split("test")
    x, labels = pixels(test.images), test.labels
    aligned_with = (
        None if reference is None else open_targets(reference)
    )  # a store that is missing is told before the attacks
    attacked = _attacked(loader, x, labels, evaluation, params.seed, workers, kept)
    if not first():
        return
    correct = predictions(model, x, BATCH) == labels
    cosines = None if aligned_with is None else _cosines(model, x, aligned_with, evaluation)
    metrics = {
        **identity, "seed": params.seed,
        "clean": proportion(correct, evaluation.confidence).as_dict(),
        **attacked.metrics,
        **_alignment_metrics(cosines, evaluation.confidence),
    }  # fmt: skip
    with written_whole(folder) as partial_folder:
        partial_folder.mkdir()
        metrics_file, outcomes_file, targeted_file = (partial_folder / name for name in FILES)
        write_json(metrics_file, metrics)
        save_file(_outcomes(correct, cosines, attacked), outcomes_file)
        save_file(_targeted(model, x, labels, evaluation.targeted, params.seed), targeted_file)


@dataclass(frozen=True)
class _Attacked:
    """The outcomes of all attacks: AutoAttack's and PGD's by threat, Foolbox's by attack; empty where one is not asked for."""

    autoattack: dict[str, ThreatOutcome]
    pgd: dict[str, AttackOutcome]
    foolbox: dict[str, AttackOutcome]

    @property
    def metrics(self) -> dict[str, object]:
        """What `metrics.json` has of them."""
        autoattack = {name: outcome.as_dict() for name, outcome in self.autoattack.items()}
        others = (("pgd", self.pgd), ("foolbox", self.foolbox))
        rest = {kind: {name: outcome.as_dict() for name, outcome in of.items()} for kind, of in others if of}
        return {"autoattack": autoattack, **rest}


def _attacked(
    loader: ModelLoader, x: Tensor, labels: Tensor, evaluation: EvaluationParams, seed: int, workers: int, kept: Path
) -> _Attacked:
    threats = {name: Threat(threat.norm, threat.eps) for name, threat in evaluation.threats.items()}
    restarted = {name: _restarted(threat, evaluation.pgd) for name, threat in threats.items() if evaluation.pgd}
    few, size, how, level = evaluation.examples, evaluation.block_size, (seed, workers, kept), evaluation.confidence
    under_autoattack = evaluate_autoattack(loader, x[:few], labels[:few], threats, size, *how, confidence=level)
    under_pgd, under_foolbox = {}, {}
    if restarted:
        under_pgd = evaluate_pgd(loader, x[:few], labels[:few], restarted, size, *how, confidence=level)
    if evaluation.foolbox:
        from pag.attacks.foolbox import FoolboxAttack  # half a second that most evaluations need not spend

        foolbox = [FoolboxAttack(name, a.eps, a.options) for name, a in evaluation.foolbox.attacks.items()]
        few, size = evaluation.foolbox.examples, evaluation.foolbox.block_size
        under_foolbox = evaluate_foolbox(loader, x[:few], labels[:few], foolbox, size, *how, confidence=level)
    return _Attacked(under_autoattack, under_pgd, under_foolbox)


def _restarted(threat: Threat, pgd: PGDParams) -> RestartedPGD:
    """PGD on the margin, since the cross-entropy of a network that is very sure has no gradient in float32."""
    step_size = pgd.relative_step * threat.eps / pgd.steps
    return RestartedPGD(PGD(threat, pgd.steps, step_size, random_start=True, loss="margin"), pgd.restarts)


def _alignment_metrics(cosines: Tensor | None, confidence: float) -> dict[str, object]:
    if cosines is None:
        return {
            "alignment": None,
            "note": "No alignment: the data set has no score-based gradients at its test images.",
        }
    return {"alignment": mean_estimate(cosines, confidence).as_dict()}


def _cosines(model: nn.Module, x: Tensor, reference: TargetStore, evaluation: EvaluationParams) -> Tensor:
    """For each test image the mean over its classes of the cosine between input gradient and score-based gradient."""
    cosines = []
    for part, rows in zip(x.split(BATCH), torch.arange(len(x)).split(BATCH), strict=True):
        classes = reference.stored_classes(rows)
        g = reference.gather(rows, classes, part)
        cosines.append(alignment(model, part, classes, g, evaluation.alignment.gradient))
    return torch.cat(cosines)


def _outcomes(correct: Tensor, cosines: Tensor | None, attacked: _Attacked) -> dict[str, Tensor]:
    """By name: `clean`, `alignment`, `<threat>.<attack>` of AutoAttack, `pgd.<threat>`, `foolbox.<attack>`."""
    outcomes = {"clean": correct} | ({} if cosines is None else {"alignment": cosines})
    for name, outcome in attacked.autoattack.items():
        outcomes |= {f"{name}.{attack}": torch.from_numpy(robust) for attack, robust in outcome.robust.items()}
    for kind, of in (("pgd", attacked.pgd), ("foolbox", attacked.foolbox)):
        outcomes |= {f"{kind}.{name}": torch.from_numpy(single.robust) for name, single in of.items()}
    return {name: value.contiguous() for name, value in outcomes.items()}


def _targeted(model: nn.Module, x: Tensor, labels: Tensor, targeted: TargetedParams, seed: int) -> dict[str, Tensor]:
    """Targeted PGD of a large ε from the first test image of each of the first classes to every class (figures 1, 2, 9)."""
    first = torch.stack([(labels == c).nonzero()[0, 0] for c in labels.unique()[: targeted.images]])
    images, classes = x[first], int(labels.max()) + 1
    towards = torch.arange(classes).repeat(len(first))
    step_size = targeted.relative_step * targeted.eps / targeted.steps
    pgd = PGD(Threat(targeted.norm, targeted.eps), targeted.steps, step_size, random_start=False, targeted=True)
    x_adv = pgd(model, images.repeat_interleave(classes, dim=0), towards, torch_stream(seed, "targeted"))
    with torch.no_grad():
        probability = model(x_adv).softmax(1).gather(1, towards[:, None])
    shape = (len(first), classes)
    adversarial = x_adv.reshape(*shape, *images.shape[1:]).contiguous()
    return {
        "images": images.contiguous(), "labels": labels[first], "adversarial": adversarial,
        "probability": probability.reshape(shape).contiguous(),
    }  # fmt: skip
