"""What a method is, derived once from params: a value that results keep, so that nobody reads it from the method's name."""

from collections.abc import Mapping

from pag.base.vocabulary import Method, NormName, RelativeTo, SourceKind
from stages.params.targets import ClassMeanParams, NearestNeighborParams, OneImageParams, Target
from stages.params.training import AdversarialParams, MethodSection, TradesParams

__all__ = ["describe"]

KIND_LABELS: Mapping[SourceKind, str] = {
    "one_image": "OI",
    "class_mean": "CM",
    "nearest_neighbor": "NN",
    "score_based": "SBG",
    "imported": "imported",
}
NORM_LABELS: Mapping[NormName, str] = {"l2": "L₂", "linf": "L∞"}


def describe(name: str, method: MethodSection, source: str | None, target: Target | None) -> Method:
    """The value of a method.

    Args:
        name: its key in params.
        method: its section there.
        source: the key of the target store that it reads; None without alignment.
        target: how that store is made.
    """
    kind = None if target is None else target.source
    relative_to: RelativeTo | None = None
    if isinstance(target, OneImageParams | ClassMeanParams | NearestNeighborParams):
        relative_to = target.relative_to
    label = method.label or _label(method, kind, relative_to)
    return Method(name=name, objective=method.objective, source=source, kind=kind, relative_to=relative_to, label=label)


def _label(method: MethodSection, kind: SourceKind | None, relative_to: RelativeTo | None) -> str:
    """In the paper's words: `AT L₂ + SBG`, `NN (own class)`, `Vanilla`."""
    parts = []
    if isinstance(method, AdversarialParams):
        parts.append(f"AT {NORM_LABELS[method.norm]}")
    elif isinstance(method, TradesParams):
        parts.append("TRADES")
    if kind is not None:
        parts.append(KIND_LABELS[kind] + (" (own class)" if relative_to == "own_class" else ""))
    return " + ".join(parts) or "Vanilla"
