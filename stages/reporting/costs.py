"""What training costs, and what robustness one gets for it: who is on the front."""

from collections.abc import Mapping, Sequence

from pag.figures.names import percent
from stages.reporting.comparisons import joined
from stages.reporting.methods import MethodResult, MethodResults

__all__ = ["cost_findings", "front", "priced", "relative_cost", "times_text"]

Points = Mapping[str, tuple[float, float]]  # of each method, by its name: cost, and accuracy


def priced(results: MethodResults) -> list[MethodResult]:
    """The methods that say what their training cost."""
    return [method for method in results.methods if method.forwards is not None]


def relative_cost(results: MethodResults, method: MethodResult) -> float | None:
    """What a network's training cost, in units of vanilla's; None where either does not say."""
    vanilla = results.vanilla
    unit, own = vanilla.forwards if vanilla else None, method.forwards
    return own / unit if own is not None and unit else None


def times_text(ratio: float) -> str:
    """`2.9×`, `0.50×`, `34×`."""
    return f"{ratio:.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×" if ratio >= 0.95 else f"{ratio:.2f}×"


def front(points: Points) -> list[str]:
    """The Pareto front: those than which no other is at once no dearer and no less robust, and one of both better; by cost.

    Args:
        points: cost and accuracy by name.
    """

    def beaten(name: str) -> bool:
        cost, accuracy = points[name]
        return any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points.values())

    return sorted((name for name in points if not beaten(name)), key=lambda name: points[name])


def points_of(methods: Sequence[MethodResult], threat: str) -> Points:
    """Cost and robust accuracy of each method that says what it cost: the means over its runs."""
    return {m.name: (m.forwards, m.robust(threat).value) for m in methods if m.forwards is not None}


def cost_findings(results: MethodResults) -> list[str]:
    """Who is on the front under each main threat, and in how many runs; nothing where fewer than two methods say what they cost.

    It counts training alone: not the targets, of which score-based ones need a diffusion model.
    """
    methods = priced(results)
    if len(methods) < 2:
        return []
    return [_front_sentence(results, methods, threat, name) for threat, name in results.main_threats.items()]


def _front_sentence(results: MethodResults, methods: Sequence[MethodResult], threat: str, name: str) -> str:
    ahead = front(points_of(methods, threat))
    counts = _counts(methods, threat)
    by_name = {method.name: method for method in methods}
    members = [_member(results, by_name[ahead_name], threat, counts.get(ahead_name)) for ahead_name in ahead]
    return (
        f"On the Pareto front of robust accuracy in {name} against training cost (targets excluded), where no other method is both "
        f"as cheap and as robust: {joined(members)}."
    )


def _member(results: MethodResults, method: MethodResult, threat: str, count: tuple[int, int] | None) -> str:
    ratio = relative_cost(results, method)
    parts = [*([] if ratio is None else [times_text(ratio)]), percent(method.robust(threat).value)]
    parts += [] if count is None else [f"in {count[0]} of {count[1]} runs"]
    return f"{method.label} ({', '.join(parts)})"


def _counts(methods: Sequence[MethodResult], threat: str) -> dict[str, tuple[int, int]]:
    """Of the seeds of training that all methods share, with how many each is on the front; none where there is one seed."""
    of_seed = [{run.evaluation.training_seed for run in method.runs} for method in methods]
    seeds = set.intersection(*of_seed)
    if len(seeds) < 2:
        return {}
    fronts = [front(points_of([_of_seed(method, seed) for method in methods], threat)) for seed in seeds]
    return {method.name: (sum(method.name in ahead for ahead in fronts), len(seeds)) for method in methods}


def _of_seed(method: MethodResult, seed: int | None) -> MethodResult:
    return MethodResult.of(run for run in method.runs if run.evaluation.training_seed == seed)
