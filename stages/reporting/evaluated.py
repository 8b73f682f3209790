"""The evaluations of a method's runs, which differ in their seeds, as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from pag.base.vocabulary import Method
from pag.evaluation.metrics import Metrics
from pag.evaluation.sanity import Check, failed
from pag.evaluation.seeds import Repeated, over_seeds

__all__ = ["Evaluated", "evaluated"]


@dataclass(frozen=True)
class Evaluated:
    """A method, or a λ of the sweep, on a data set with an architecture.

    Attributes:
        evaluations: of its runs, at least one, all under the same conditions.
    """

    evaluations: tuple[Metrics, ...]

    @property
    def first(self) -> Metrics:
        """The evaluation of the first run, for what all have in common."""
        return self.evaluations[0]

    @property
    def method(self) -> Method:
        """How its networks were trained."""
        return self.first.method

    @property
    def lambda_(self) -> float | None:
        """The weight of the alignment term; None without alignment."""
        return self.first.lambda_

    @cached_property
    def measures(self) -> Mapping[str, Repeated]:
        """Every measure that all runs have, by its dotted name."""
        of_runs = [evaluation.measures for evaluation in self.evaluations]
        shared = [name for name in of_runs[0] if all(name in of for of in of_runs)]
        return {name: over_seeds([of[name] for of in of_runs]) for name in shared}

    @property
    def forwards(self) -> float | None:
        """What the training of a network cost, in forward passes of one image; None where a run does not say."""
        known = [evaluation.training_forwards for evaluation in self.evaluations]
        return sum(f for f in known if f is not None) / len(known) if None not in known else None

    @property
    def checks(self) -> list[tuple[str, Mapping[str, Check]]]:
        """The seeds of each run, `3407, 1`, and what the checks of its evaluation found."""
        return [(", ".join(map(str, evaluation.seeds)), evaluation.sanity) for evaluation in self.evaluations]

    @property
    def failed(self) -> list[str]:
        """The checks that the evaluation of any run failed, by their names."""
        return list(dict.fromkeys(name for evaluation in self.evaluations for name in failed(evaluation.sanity)))

    def doubts(self, measure: str) -> list[str]:
        """The failed checks of any run that spoil a measure."""
        return list(dict.fromkeys(name for evaluation in self.evaluations for name in evaluation.doubts(measure)))


def evaluated(evaluations: Sequence[Metrics]) -> tuple[Evaluated, ...]:
    """Evaluations in a row that differ in their seeds alone, together."""

    def place(e: Metrics) -> tuple[str, str, str, float | None]:
        return e.dataset, e.architecture, e.method.name, e.lambda_

    return tuple(Evaluated(tuple(runs)) for _, runs in groupby(evaluations, key=place))
