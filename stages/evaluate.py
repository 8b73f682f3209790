"""`evaluate`: the only stage that reads the test set. Clean accuracy, AutoAttack, alignment, and large-ε targeted examples."""

from functools import partial

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pag.alignment import alignment
from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.classifiers import load_classifier
from pag.evaluation import ThreatOutcome, evaluate_autoattack, mean_estimate, predictions, proportion
from pag.files import read_json, write_json, written_whole
from pag.randomness import torch_stream
from pag.stores import ImageStore, pixels
from pag.target_stores import TargetStore
from stages.execution import stage_run
from stages.params import EvaluationParams, Params, TargetedParams
from stages.paths import Cell, DatasetPaths

__all__ = ["run"]

BATCH = 256


def run(params: Params, cell: Cell, workers: int) -> None:
    """Writes `data/<dataset>/evaluations/<cell>/`: metrics, the outcome of every attack on every example, examples."""
    paths, evaluation = DatasetPaths(cell.dataset), params.dataset(cell.dataset).evaluation
    inputs = [paths.images, paths.test_targets, cell.classifier]
    name = f"evaluate@{cell.dataset}-{cell.name}"
    with stage_run(name, values=[params.seed, evaluation], inputs=inputs) as checkpoints:
        config = read_json(cell.classifier / "config.json")
        model = load_classifier(cell.classifier)
        test = ImageStore.open(paths.images).split("test")
        x, labels = pixels(test.images), test.labels
        attacked = evaluate_autoattack(
            partial(load_classifier, cell.classifier), x[: evaluation.examples], labels[: evaluation.examples],
            {norm: Threat(norm, eps) for norm, eps in evaluation.threats.items()},
            block_size=evaluation.block_size, seed=params.seed, workers=workers, kept=checkpoints,
            confidence=evaluation.confidence,
        )  # fmt: skip
        correct = predictions(model, x, BATCH) == labels
        cosines = _cosines(model, x, paths, evaluation)
        metrics = {
            "dataset": cell.dataset, "architecture": cell.architecture, "method": cell.method,
            "lambda": config["lambda"], "seed": params.seed,
            "clean": proportion(correct, evaluation.confidence).as_dict(),
            "autoattack": {norm: outcome.as_dict() for norm, outcome in attacked.items()},
            "alignment": mean_estimate(cosines, evaluation.confidence).as_dict(),
        }  # fmt: skip
        with written_whole(cell.evaluation) as folder:
            folder.mkdir()
            write_json(folder / "metrics.json", metrics)
            save_file(_outcomes(correct, cosines, attacked), folder / "outcomes.safetensors")
            save_file(_targeted(model, x, labels, evaluation.targeted, params.seed), folder / "targeted.safetensors")


def _cosines(model: nn.Module, x: Tensor, paths: DatasetPaths, evaluation: EvaluationParams) -> Tensor:
    """For each test image the mean over classes of the cosine between input gradient and score-based gradient."""
    reference = TargetStore.open(paths.test_targets)
    classes = torch.arange(reference.num_classes).expand(len(x), -1)
    targets = reference.gather(torch.arange(len(x)), classes, x)
    return alignment(model, x, targets, evaluation.alignment.gradient, BATCH)


def _outcomes(correct: Tensor, cosines: Tensor, attacked: dict[str, ThreatOutcome]) -> dict[str, Tensor]:
    outcomes = {"clean": correct, "alignment": cosines}
    for norm, outcome in attacked.items():
        outcomes |= {f"{norm}.{attack}": torch.from_numpy(robust) for attack, robust in outcome.robust.items()}
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
