"""Two methods in words: which is the more robust under which threat, and where one cannot tell.

A difference is one where the interval of the paired difference leaves out 0 (`pag.evaluation.seeds`). The intervals of the two
numbers may overlap all the same: they are for each number alone, and do not know that both methods were tried on the same images.
"""

from collections.abc import Sequence

from pag.figures.names import percent
from stages.reporting.credibility import cost
from stages.reporting.methods import MethodResult, MethodResults

__all__ = ["against", "compared", "joined", "sentences", "with_number"]


def sentences(clauses: Sequence[str]) -> str:
    """`It is. They cannot.`, of `it is` and `they cannot`."""
    return " ".join(f"{clause[0].upper()}{clause[1:]}." for clause in clauses)


def joined(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def with_number(method: MethodResult, threat: str) -> str:
    """`SBG (50.0%)`."""
    return f"{method.label} ({percent(method.robust(threat).value)})"


def against(a: MethodResult, b: MethodResult, threat: str, name: str) -> str:
    """`L₂ (60.0% against 50.0%)`."""
    return f"{name} ({percent(a.robust(threat).value)} against {percent(b.robust(threat).value)})"


def compared(
    results: MethodResults, a: MethodResult, b: MethodResult, subject: str = "", threats: Sequence[str] | None = None
) -> str:
    """`AT is more robust than SBG in L₂ (60.0% against 50.0%) but less robust than SBG in L∞ (…)`, or that one cannot tell.

    Args:
        results: with both.
        a, b: the methods.
        subject: what a is called; its label where it is empty.
        threats: under which; None: all.
    """
    told: dict[int, list[str]] = {1: [], -1: [], 0: []}
    for threat, name in results.threat_names.items():
        if threats is not None and threat not in threats:
            continue
        told[results.sign(a, b, threat)].append(against(a, b, threat, name))
    words = ((told[1], "more"), (told[-1], "less"))
    parts = [f"{word} robust than {b.label} in {joined(where)}" for where, word in words if where]
    price = f", at a price ({paid})" if told[1] and (paid := cost(a, b)) else ""
    clauses = [f"{subject or a.label} is {' but '.join(parts)}{price}"] if parts else []
    if told[0] and parts:
        clauses.append(f"in {joined(told[0])} they cannot be distinguished")
    elif told[0]:
        clauses.append(f"{subject or a.label} cannot be distinguished from {b.label} in {joined(told[0])}")
    return "; ".join(clauses)
