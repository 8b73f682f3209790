"""`evaluate`: the only stage that reads the test set. Clean accuracy, attacks, alignment, and large-ε targeted examples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from pag.alignment.gradients import alignment
from pag.attacks.autoattack import AutoAttack
from pag.attacks.harness import BlockAttack
from pag.attacks.ladder import Ladder
from pag.attacks.pgd import PGD, step_size
from pag.attacks.restarted_pgd import RestartedPGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.vocabulary import Method
from pag.data.image_store import ImageStore, Split, pixels
from pag.evaluation.accuracy import Robustness, evaluate, predictions
from pag.evaluation.blocks import Blocks
from pag.evaluation.checking import Examined, checked, require_deterministic
from pag.evaluation.curve import RobustnessCurve, curve_of
from pag.evaluation.frames import targeted_frames
from pag.evaluation.intervals import mean_estimate, proportion
from pag.evaluation.metrics import Metrics, write_metrics
from pag.evaluation.network import attackable, channels_last, weights_digest
from pag.evaluation.probes import Probe
from pag.evaluation.sanity import Check
from pag.machine.capacity import require_memory
from pag.machine.ranks import first, from_first, local_size
from pag.networks.classifier import check_classifier, load_classifier
from pag.targets.kinds import open_targets
from pag.targets.store import Origin, TargetStore
from stages.params.evaluation import EvaluationParams, FoolboxParams, PGDParams, TargetedParams
from stages.params.reading import Params
from stages.params.section import NonNegative
from stages.paths import Cell, DatasetPaths
from stages.run import device, processes, stage_run

__all__ = ["FILES", "Subject", "run", "write_evaluation"]

BATCH = 256
COPIES = 2  # of the test images in float32 in memory at once, at least: whole, and in blocks
LAMBDA: TypeAdapter[float | None] = TypeAdapter(NonNegative | None)
COST: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])
CLASSIFIER = ("model.safetensors", "config.json")
FILES = ("metrics.json", "outcomes.safetensors", "targeted.safetensors")


@dataclass(frozen=True)
class Subject:
    """The classifier that is evaluated.

    Attributes:
        dataset, architecture: by their keys in params.
        method: how it was trained.
        lambda_: weight of the alignment term; None without alignment.
        seed, targets_seed: of its training and of its targets; None where they are not known, or it read none.
        load: gives it, in evaluation mode; picklable.
        training_forwards: what training cost, in forward passes of one image; None where it is not known.
    """

    dataset: str
    architecture: str
    method: Method
    lambda_: float | None
    load: Callable[[], nn.Module]
    seed: int | None = None
    targets_seed: int | None = None
    training_forwards: float | None = None


def run(params: Params, cell: Cell, workers: int | None) -> Path:
    """Writes `data/<dataset>/evaluations/<cell>/`: metrics, the outcome of every attack on every example, examples."""
    paths = DatasetPaths(cell.dataset)
    evaluation = params.dataset(cell.dataset).read("evaluation", EvaluationParams)
    inputs = [paths.images, paths.test_targets, *(cell.classifier / name for name in CLASSIFIER)]
    values = [params.seed, evaluation]
    with stage_run("evaluate", cell.name, outputs=[cell.evaluation], values=values, inputs=inputs) as checkpoints:
        blocks = Blocks(evaluation.block_size, params.seed, processes(workers), checkpoints)
        subject = _subject(cell, ImageStore.open(paths.images))
        write_evaluation(cell.evaluation, subject, evaluation, paths.test_targets, blocks)
    return cell.evaluation


def _subject(cell: Cell, images: ImageStore) -> Subject:
    """A classifier of the grid, which must be that of its cell; how it was trained is in its own `config.json`."""
    file = cell.classifier / "config.json"
    swept = {} if cell.lambda_ is None else {"lambda": cell.lambda_}
    expected = {"dataset": cell.dataset, "architecture_name": cell.architecture, **swept}
    seeds = {"seed": cell.seed, "targets_seed": cell.targets_seed}
    of_images = {
        "image_shape": list(images.image_shape), "num_classes": images.num_classes,
        "class_names": list(images.class_names), "images": images.checksum,
    }  # fmt: skip
    config = check_classifier(cell.classifier, {**expected, **seeds, **of_images})
    try:
        method, lambda_ = Method.model_validate(config["method"]), LAMBDA.validate_python(config["lambda"])
    except (KeyError, TypeError, ValidationError):
        raise InputError(f"{file} does not say by which method and lambda the classifier was trained.") from None
    if method.name != cell.method:
        raise InputError(f"{file} is of another classifier: it was trained by {method.name}, not by {cell.method}.")
    load, forwards = partial(load_classifier, cell.classifier), _forwards(config, file)
    return Subject(cell.dataset, cell.architecture, method, lambda_, load, **seeds, training_forwards=forwards)


def _forwards(config: Mapping[str, Any], file: Path) -> float | None:
    """What training cost, as the configuration of a classifier says; None where it does not."""
    try:
        return COST.validate_python(config.get("cost", {})).get("forwards")
    except ValidationError:
        raise InputError(f"{file} does not say what training cost as a number of forward passes.") from None


def write_evaluation(
    folder: Path, subject: Subject, evaluation: EvaluationParams, reference: Path | None, blocks: Blocks
) -> None:
    """Measures a classifier on the test set and writes the three files of an evaluation.

    Under several ranks each does its part of the attacks; the rest is little, and the first's.

    Args:
        folder: where to.
        subject: the classifier.
        evaluation: what is measured.
        reference: the store of score-based gradients at test images that alignment is measured against; None: alignment is not
            measured, and null in `metrics.json`.
        blocks: how examples are attacked; Foolbox's attacks have a block size of their own.

    Raises:
        InputError: a store is missing or damaged, an attack does not fit the data, or the classifier is random.
    """
    store = ImageStore.open(DatasetPaths(subject.dataset).images)
    test = store.split("test")
    from_first(lambda: require_memory(COPIES * 4 * test.images.nbytes * local_size()))
    x = pixels(test.images)
    aligned_with = (
        None if reference is None else _reference(reference, store, len(x))
    )  # one that is missing fails at once
    load = attackable(channels_last(partial(_placed, subject.load, device()), x), x)
    model = load()
    digests = {"images": store.checksum, "weights": weights_digest(subject.load())}
    predicted = predictions(model, x, BATCH)
    require_deterministic(Probe(model, x, test.labels, blocks.size))
    attacked, sanity = _checked(
        _attacked(load, x, test.labels, evaluation, blocks), load, x, test.labels, predicted, evaluation, blocks
    )
    correct = predicted == test.labels
    if not first():
        return
    cosines = None if aligned_with is None else _cosines(model, x, aligned_with, evaluation)
    with written_whole(folder) as partial_folder:
        partial_folder.mkdir()
        metrics_file, outcomes_file, targeted_file = (partial_folder / name for name in FILES)
        metrics = _metrics(subject, evaluation, blocks.seed, attacked, correct, cosines, sanity)
        write_metrics(metrics_file, metrics.model_copy(update=digests))
        save_file(_outcomes(correct, cosines, attacked), outcomes_file)
        save_file(_targeted(model, test, evaluation.targeted), targeted_file)


def _placed(load: Callable[[], nn.Module], where: torch.device) -> nn.Module:
    """The network on the device that it is attacked on."""
    return load().to(where)


def _reference(path: Path, store: ImageStore, num_images: int) -> TargetStore:
    """The store of gradients at the images of the test set."""
    reference = open_targets(path)
    origin = Origin(store.checksum, "test")
    reference.check_matches(num_images, store.num_classes, store.image_shape, origin)
    return reference


@dataclass(frozen=True)
class _Attacked:
    """The outcomes of all attacks: AutoAttack's and PGD's by threat, Foolbox's by attack; empty where one is not asked for.

    `curves` are by the main threat of each norm: PGD's, an upper bound, since AutoAttack at so many ε would take long.
    """

    autoattack: Mapping[str, Robustness]
    pgd: Mapping[str, Robustness]
    foolbox: Mapping[str, Robustness]
    curves: Mapping[str, RobustnessCurve]

    @property
    def others(self) -> Mapping[str, Mapping[str, Robustness]]:
        """Those beside AutoAttack's, by kind."""
        return {"pgd": self.pgd, "foolbox": self.foolbox}


def _attacked(
    load: Callable[[], nn.Module], x: Tensor, labels: Tensor, evaluation: EvaluationParams, blocks: Blocks
) -> _Attacked:
    def under(
        attacks: Mapping[str, BlockAttack], examples: int | None, size: int, description: str
    ) -> dict[str, Robustness]:
        how = replace(blocks, size=size)
        few = slice(examples)
        return evaluate(
            load, x[few], labels[few], attacks, how, confidence=evaluation.confidence, description=description
        )

    ladders, foolbox = _ladders(evaluation), evaluation.foolbox
    by_kind: dict[str, Mapping[str, BlockAttack]] = {
        "autoattack": {name: AutoAttack(threat) for name, threat in _threats(evaluation).items()},
        "curve": ladders,
        "pgd": _restarted_by_threat(evaluation),
    }
    # All at once, so that processes are busy to the end.
    every = {f"{kind}.{name}": attack for kind, attacks in by_kind.items() for name, attack in attacks.items()}
    found = under(every, evaluation.examples, evaluation.block_size, "attacks")
    autoattack, curves, pgd = ({name: found[f"{kind}.{name}"] for name in of} for kind, of in by_kind.items())
    return _Attacked(
        autoattack,
        pgd,
        under(_foolbox(foolbox), foolbox.examples, foolbox.block_size, "Foolbox") if foolbox else {},
        {name: curve_of(ladders[name], outcome) for name, outcome in curves.items()},
    )


def _threats(evaluation: EvaluationParams) -> dict[str, Threat]:
    return {name: Threat(threat.norm, threat.eps) for name, threat in evaluation.threats.items()}


def _checked(
    attacked: _Attacked,
    load: Callable[[], nn.Module],
    x: Tensor,
    labels: Tensor,
    predicted: Tensor,
    evaluation: EvaluationParams,
    blocks: Blocks,
) -> tuple[_Attacked, dict[str, Check]]:
    """The outcomes with what the checks found; where gradients may be masked, or all is asked for, after further attacks."""
    few, threats = slice(evaluation.examples), _threats(evaluation)
    examined = Examined(load, x[few], labels[few], blocks, evaluation.confidence)
    others = {f"{kind}.{name}": of for kind, by in attacked.others.items() for name, of in by.items()}
    full = evaluation.sanity == "full"
    autoattack, checks = checked(examined, predicted, labels, threats, attacked.autoattack, others, full=full)
    return replace(attacked, autoattack=autoattack), checks


def _ladders(evaluation: EvaluationParams) -> dict[str, Ladder]:
    """PGD from one start at ascending ε, by the main threat of each norm."""
    curve = evaluation.curve
    if curve is None:
        return {}
    pgd = PGDParams(steps=curve.steps, restarts=1, relative_step=curve.relative_step)
    return {
        name: Ladder(tuple(_restarted(Threat(of.norm, f * of.eps), pgd) for f in curve.fractions))
        for name, of in evaluation.main_threats.items()
    }


def _restarted_by_threat(evaluation: EvaluationParams) -> dict[str, RestartedPGD]:
    pgd = evaluation.pgd
    return {name: _restarted(threat, pgd) for name, threat in _threats(evaluation).items()} if pgd else {}


def _restarted(threat: Threat, pgd: PGDParams) -> RestartedPGD:
    """PGD on the margin, since the cross-entropy of a network that is very sure has no gradient in float32."""
    step = step_size(pgd.relative_step, threat.eps, pgd.steps)
    return RestartedPGD(PGD(threat, pgd.steps, step, random_start=True, loss="margin"), pgd.restarts)


def _foolbox(foolbox: FoolboxParams) -> dict[str, BlockAttack]:
    from pag.attacks.foolbox import FoolboxAttack  # half a second that most evaluations need not spend

    return {name: FoolboxAttack(name, attack.eps, attack.options) for name, attack in foolbox.attacks.items()}


def _cosines(model: nn.Module, x: Tensor, reference: TargetStore, evaluation: EvaluationParams) -> Tensor:
    """For each test image the mean over its classes of the cosine between input gradient and score-based gradient."""
    cosines = []
    for part, rows in zip(x.split(BATCH), torch.arange(len(x)).split(BATCH), strict=True):
        classes = reference.stored_classes(rows)
        g = reference.gather(rows, classes, part)
        cosines.append(alignment(model, part, classes, g, evaluation.alignment.gradient))
    return torch.cat(cosines)


def _metrics(
    subject: Subject,
    evaluation: EvaluationParams,
    seed: int,
    attacked: _Attacked,
    correct: Tensor,
    cosines: Tensor | None,
    sanity: dict[str, Check],
) -> Metrics:
    return Metrics(
        dataset=subject.dataset,
        architecture=subject.architecture,
        method=subject.method,
        lambda_=subject.lambda_,
        seed=seed,
        training_seed=subject.seed,
        targets_seed=subject.targets_seed,
        training_forwards=subject.training_forwards,
        clean=proportion(correct, evaluation.confidence),
        autoattack={name: outcome.measured_by_part() for name, outcome in attacked.autoattack.items()},
        pgd={name: outcome.measured() for name, outcome in attacked.pgd.items()},
        foolbox={name: outcome.measured() for name, outcome in attacked.foolbox.items()},
        curve={name: curve.measured() for name, curve in attacked.curves.items()},
        alignment=None if cosines is None else mean_estimate(cosines, evaluation.confidence),
        sanity=sanity,
    )


def _outcomes(correct: Tensor, cosines: Tensor | None, attacked: _Attacked) -> dict[str, Tensor]:
    """By name: `clean`, `alignment`, `<threat>.<attack>` of AutoAttack, `pgd.<threat>`, `foolbox.<attack>`, `curve.<threat>`.

    The last are `(K, N)`, a row for each ε; all others `(N,)`.
    """
    outcomes = {"clean": correct} | ({} if cosines is None else {"alignment": cosines})
    for name, outcome in attacked.autoattack.items():
        outcomes |= {f"{name}.{attack}": torch.from_numpy(robust) for attack, robust in outcome.robust.items()}
    outcomes |= {f"curve.{name}": torch.from_numpy(curve.withstood) for name, curve in attacked.curves.items()}
    for kind, of in attacked.others.items():
        outcomes |= {f"{kind}.{name}": torch.from_numpy(outcome.withstood) for name, outcome in of.items()}
    return {name: value.contiguous() for name, value in outcomes.items()}


def _targeted(model: nn.Module, test: Split, targeted: TargetedParams) -> dict[str, Tensor]:
    """The first test image of each of the first classes on its way to each class (figures 1, 2, 9), and where it begins."""
    first = test.first_of_classes(targeted.images)
    classes = min(targeted.classes, int(test.labels.max()) + 1)
    epsilons = [0.0, *targeted.ladder]
    attack = (targeted.norm, epsilons, targeted.steps, targeted.relative_step)
    frames = targeted_frames(model, pixels(test.images[first]), classes, *attack)
    return {
        "labels": test.labels[first],
        "epsilons": torch.tensor(epsilons, dtype=torch.float64),
        "large": torch.tensor([epsilons.index(targeted.eps)]),
        "frames": frames.images.contiguous(),
        "probabilities": frames.probabilities.contiguous(),
    }
