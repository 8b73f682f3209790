"""The gathered results by method: what its runs with several seeds say together, and how two methods differ."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pag.attacks.autoattack_parts import substituted
from pag.base.errors import InputError
from pag.base.vocabulary import Family
from pag.evaluation.intervals import Flags
from pag.evaluation.metrics import AutoAttacked
from pag.evaluation.seeds import Difference, Repeated, over_seeds, paired_difference
from pag.figures.names import threat_names
from stages.paths import Cell
from stages.reporting.evaluated import Evaluated
from stages.reporting.results import CellResult, GridResults

__all__ = ["MethodResult", "MethodResults", "Seeds", "by_method", "paired", "seeds_text"]

Seeds = tuple[int | None, int | None]  # of training, and of targets where the method reads them
Values = NDArray[Any]


@dataclass(frozen=True)
class MethodResult(Evaluated):
    """A method of the grid, or a λ of the sweep.

    Attributes:
        runs: at least one; they differ in their seeds.
    """

    runs: tuple[CellResult, ...]

    @classmethod
    def of(cls, runs: Iterable[CellResult]) -> Self:
        """The method that the runs are of."""
        gathered = tuple(runs)
        return cls(tuple(run.evaluation for run in gathered), gathered)

    @property
    def name(self) -> str:
        """Of the method, with λ for one of the sweep: `score_based-lambda-0.1`."""
        return self.runs[0].name

    @property
    def label(self) -> str:
        """What figures and tables call it: the method's label, with λ for one of the sweep."""
        return f"{self.method.label}, λ = {self.lambda_:g}" if self.name != self.method.name else self.method.label

    @property
    def clean(self) -> Repeated:
        """Accuracy without an attack."""
        return self.measures["clean"]

    @property
    def alignment(self) -> Repeated:
        """Mean cosine with score-based gradients, which every cell of the grid has.

        Raises:
            InputError: it was not measured.
        """
        if "alignment" not in self.measures:
            raise InputError(
                f"{self.first.dataset}, {self.name}: alignment was not measured; run `pag evaluate` again."
            )
        return self.measures["alignment"]

    def robust(self, threat: str) -> Repeated:
        """Accuracy under AutoAttack."""
        return self.measures[f"autoattack.{threat}"]

    def curve(self, threat: str) -> list[tuple[float, Repeated]]:
        """Accuracy over ε under PGD, at the ε that all runs have."""
        of_runs = [{point.eps: point for point in run.evaluation.curve.get(threat, ())} for run in self.runs]
        shared = [eps for eps in of_runs[0] if all(eps in of for of in of_runs)]
        return [(eps, over_seeds([of[eps] for of in of_runs])) for eps in shared]

    @property
    def cells(self) -> list[Cell]:
        """The cells of the grid that the runs are."""
        swept = self.lambda_ if self.name != self.method.name else None
        place = (self.first.dataset, self.first.architecture, self.method.name)
        seeds = [(evaluation.training_seed, evaluation.targets_seed) for evaluation in self.evaluations]
        return [Cell(*place, training, targets, swept) for training, targets in seeds if training is not None]

    @property
    def validation(self) -> Mapping[str, Sequence[float]]:
        """What was measured on the validation split, a value a run."""
        names = dict.fromkeys(name for run in self.runs for name in run.validation)
        values = {name: [run.validation.get(name) for run in self.runs] for name in names}
        return {name: [v for v in of if v is not None] for name, of in values.items() if None not in of}

    @property
    def curves(self) -> dict[str, list[float | None]]:
        """The curves of training, the mean over the runs; None where a run has no value."""
        columns = [run.curves for run in self.runs]
        names = [name for name in columns[0] if all(name in of for of in columns)]
        return {name: [_mean(row) for row in zip(*(of[name] for of in columns), strict=False)] for name in names}

    def attacks(self, threat: str) -> dict[str, float]:
        """The accuracy that each part of AutoAttack left, the mean over the runs that it was run on."""
        parts = [run.evaluation.autoattack[threat].attacks for run in self.runs]
        names = dict.fromkeys(name for of in parts for name in of)
        return {name: float(np.mean([of[name] for of in parts if name in of])) for name in names}

    def outcomes(self, measure: str) -> dict[Seeds, Flags]:
        """Whether the network of each seed was right at each test image, `(N,)` bool."""
        return {
            (run.evaluation.training_seed, run.evaluation.targets_seed): np.frombuffer(
                run.outcomes[measure].encode(), dtype=np.uint8
            )
            == ord("1")
            for run in self.runs
        }


def _mean(row: Sequence[float | None]) -> float | None:
    known = [value for value in row if value is not None]
    return sum(known) / len(known) if len(known) == len(row) else None


@dataclass(frozen=True)
class MethodResults:
    """The results of one data set and architecture.

    Attributes:
        dataset, architecture: by their keys in params.
        methods: of the main grid, in its order.
        sweep: of λ.
        confidence: of all intervals.
    """

    dataset: str
    architecture: str
    methods: tuple[MethodResult, ...]
    sweep: tuple[MethodResult, ...]
    confidence: float = 0.95

    def where(self, keep: Callable[[MethodResult], bool]) -> "MethodResults":
        """The results of those methods alone that `keep` is true of."""
        return replace(self, methods=tuple(filter(keep, self.methods)), sweep=tuple(filter(keep, self.sweep)))

    @property
    def threats(self) -> Mapping[str, AutoAttacked]:
        """The threats by name, each with one run's result, for its norm, ε and n."""
        return self.methods[0].first.autoattack

    @property
    def substitutes(self) -> list[str]:
        """Attacks that were run in the place of AutoAttack's, which needs four classes; mostly none."""
        return substituted(attack for threat in self.threats.values() for attack in threat.attacks)

    @property
    def suite(self) -> str:
        """What the attacks are called together."""
        return "AutoAttack's substitute" if self.substitutes else "AutoAttack"

    @property
    def threat_names(self) -> Mapping[str, str]:
        """What each threat is called in figures and sentences."""
        return threat_names({name: (attacked.norm, attacked.eps) for name, attacked in self.threats.items()})

    @property
    def main_threats(self) -> Mapping[str, str]:
        """Of each norm the threat of smallest ε, with what it is called: the paper's table 1, not its table 3."""
        ascending = sorted(self.threats, key=lambda name: self.threats[name].eps)
        smallest = {self.threats[name].norm: name for name in reversed(ascending)}
        return {name: words for name, words in self.threat_names.items() if name in smallest.values()}

    @property
    def curves(self) -> list[str]:
        """The threats by which every method has a curve of accuracy over ε; none where that was not measured."""
        return [threat for threat in self.main_threats if all(len(m.curve(threat)) > 1 for m in self.methods)]

    @property
    def vanilla(self) -> MethodResult | None:
        """The baseline that every other method is compared with."""
        return next(iter(self.of("vanilla")), None)

    @property
    def score_based(self) -> MethodResult | None:
        """Score-based targets (section 4.2); of several methods the one that is named as the store that it reads."""
        return min(self.of("score-based"), key=lambda m: m.method.name != m.method.source, default=None)

    @property
    def beside_vanilla(self) -> list[MethodResult]:
        """What the page begins with: vanilla, and score-based targets or else the first method that aligns gradients."""
        aligned = [method for method in self.methods if method.method.source is not None]
        shown = self.score_based or next(iter(aligned), None)
        return [method for method in (self.vanilla, shown) if method is not None]

    def of(self, *families: Family) -> list[MethodResult]:
        """The methods of some families, in the grid's order."""
        return [m for m in self.methods if m.method.family in families]

    @property
    def by_lambda(self) -> tuple[tuple[float, MethodResult], ...]:
        """Vanilla (λ = 0), the sweep, and the main grid's score-based method, each λ once, ascending (figure 5)."""
        found: dict[float, MethodResult] = {}
        ends = [method for method in (self.vanilla, self.score_based) if method is not None]
        for method in (*ends, *self.sweep):
            found.setdefault(method.lambda_ or 0.0, method)
        return tuple(sorted(found.items(), key=lambda item: item[0]))

    def difference(self, a: MethodResult, b: MethodResult, threat: str) -> Difference | None:
        """How much more accurate a is than b under AutoAttack, over the seeds that both were run with; None: they share none."""
        measure = f"autoattack.{threat}"
        pairs = paired(a.outcomes(measure), b.outcomes(measure))
        return None if pairs is None else paired_difference(*pairs, confidence=self.confidence)

    def sign(self, a: MethodResult, b: MethodResult, threat: str) -> int:
        """1 where a is more robust than b, −1 where it is less, and 0 where one cannot tell."""
        difference = self.difference(a, b, threat)
        return 0 if difference is None else difference.sign

    @property
    def several(self) -> bool:
        """Whether any method was run more than once."""
        return any(len(method.runs) > 1 for method in (*self.methods, *self.sweep))


def paired(a: Mapping[Seeds, Values], b: Mapping[Seeds, Values]) -> tuple[Values, Values] | None:
    """`(S, T, N)` each, over the S seeds of training and the T of targets that both have; without targets any T is its own.

    Args:
        a: what was found at each of N test images, by the seeds of training and of targets.
        b: the same of another method.

    Returns:
        None where they have no seeds in common; a seed of training counts where both have it with all those targets.
    """
    training = [seed for seed in dict.fromkeys(s for s, _ in a) if any(seed == s for s, _ in b)]
    of_targets = [dict.fromkeys(t for _, t in of) for of in (a, b)]
    with_targets = [of for of in of_targets if None not in of] or [{None: None}]
    targets = [seed for seed in with_targets[0] if all(seed in of for of in with_targets)]

    def whole(of: Mapping[Seeds, Values], seed: int | None) -> bool:
        return all((seed, t) in of or (seed, None) in of for t in targets)

    training = [seed for seed in training if whole(a, seed) and whole(b, seed)]
    if not training or not targets:
        return None

    def stacked(of: Mapping[Seeds, Values]) -> Values:
        return np.stack([[of[s, t] if (s, t) in of else of[s, None] for t in targets] for s in training])

    return stacked(a), stacked(b)


def by_method(results: GridResults, confidence: float = 0.95) -> MethodResults:
    """The gathered results, the runs of a method together."""
    methods, sweep = _grouped(results.cells), _grouped(results.sweep)
    return MethodResults(results.dataset, results.architecture, methods, sweep, confidence)


def _grouped(cells: Sequence[CellResult]) -> tuple[MethodResult, ...]:
    return tuple(MethodResult.of(runs) for _, runs in groupby(cells, key=lambda cell: cell.name))


def seeds_text(results: MethodResults) -> str:
    """Which runs stand behind the numbers: `3 runs per method (training seeds 3407, 1, 2; target seed 3407)`."""
    evaluations = [run.evaluation for method in (*results.methods, *results.sweep) for run in method.runs]
    training = list(dict.fromkeys(e.training_seed for e in evaluations if e.training_seed is not None))
    targets = list(dict.fromkeys(e.targets_seed for e in evaluations if e.targets_seed is not None))
    counts = sorted({len(method.runs) for method in results.methods})
    runs = f"{counts[0]} run{'s' if counts[0] > 1 else ''}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} runs"
    of_targets = f"; target {_seeds(targets)}" if targets else ""
    return f"{runs} per method (training {_seeds(training)}{of_targets})"


def _seeds(seeds: Sequence[int]) -> str:
    """`seeds 3407, 1`; foreign networks have none that is known."""
    if not seeds:
        return "seeds unknown"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
