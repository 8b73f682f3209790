"""Whose robustness counts: not that of a network whose evaluation failed a check, nor of one that hardly knows the classes."""

from pag.evaluation.sanity import failed
from pag.figures.names import percent
from stages.reporting.methods import MethodResult, MethodResults

__all__ = ["NEAR", "cost", "counted", "discounted"]

NEAR = 0.05  # of clean accuracy, below which a difference is no price worth telling
KNOWS = 0.5  # the least share of vanilla's clean accuracy with which a network is compared at all


def cost(method: MethodResult, other: MethodResult) -> str:
    """The clean accuracy that a method has less than another, where that is not near: `clean 80.0% against 95.0%`; else empty."""
    own, others = method.clean.value, other.clean.value
    return f"clean {percent(own)} against {percent(others)}" if own < others - NEAR else ""


def _reason(method: MethodResult, vanilla: MethodResult | None) -> str:
    names = method.failed
    if names:
        runs = sum(bool(failed(run.evaluation.sanity)) for run in method.runs)
        where = f" in {runs} of {len(method.runs)} runs" if len(method.runs) > 1 else ""
        return f"its evaluation failed {'a check' if len(names) == 1 else 'checks'} ({', '.join(names)}){where}"
    clean = method.clean.value
    if vanilla is not None and clean < KNOWS * vanilla.clean.value:
        return f"it has hardly learned the classes ({cost(method, vanilla) or f'clean {percent(clean)}'})"
    return ""


def discounted(results: MethodResults) -> list[str]:
    """Why the robustness of a method does not count, a sentence for each that it is true of."""
    reasons = [(method.label, _reason(method, results.vanilla)) for method in (*results.methods, *results.sweep)]
    return [f"{label} does not count: {reason}." for label, reason in reasons if reason]


def counted(results: MethodResults) -> MethodResults:
    """The results without the methods that do not count; one bad run is enough, or runs would be chosen by their numbers."""
    vanilla = results.vanilla
    return results.where(lambda method: not _reason(method, vanilla))
