"""What each part of the aligned margin is worth: methods that differ in one parameter."""

from collections.abc import Mapping
from itertools import groupby

from pag.figures.names import percent
from pag.page.report import Column, Entry, Table
from stages.params.methods import method_section
from stages.params.reading import Params
from stages.reporting.comparisons import compared
from stages.reporting.methods import MethodResult, MethodResults
from stages.reporting.tables import difference_entry, with_sd

__all__ = ["ablation_findings", "ablation_tables", "ablations"]


def ablations(params: Params, results: MethodResults) -> list[tuple[MethodResult, MethodResult, str]]:
    """Aligned-margin methods that differ in one parameter, λ and targets among them, from one before them in the grid.

    Returns:
        That one, the method, and what is changed: `margin: 1.0 → 0.0`.
    """
    ours = results.of("aligned-margin")
    if len(ours) < 2:
        return []
    settings = {method.name: _settings(params, results, method) for method in ours}
    found: list[tuple[MethodResult, MethodResult, str]] = []
    for i, method in enumerate(ours):
        changes = [(base, _differing(settings[base.name], settings[method.name])) for base in ours[:i]]
        found += [(base, method, change[0]) for base, change in changes if len(change) == 1][:1]
    return found


def ablation_findings(params: Params, results: MethodResults) -> list[str]:
    """What each part of an aligned margin is worth: a sentence for each method that others are taken from."""
    sentences = []
    of_bases = groupby(
        sorted(ablations(params, results), key=lambda a: results.methods.index(a[0])), key=lambda a: a[0]
    )
    for base, changed in of_bases:
        clauses = [f"with {change}, {compared(results, method, base, 'it')}" for _, method, change in changed]
        sentences.append(f"{base.label} with one part changed at a time: {'; '.join(clauses)}.")
    return sentences


def ablation_tables(params: Params, results: MethodResults) -> list[Table]:
    """The same as a table; none where the grid has no such methods."""
    rows = [
        (Entry(f"{base.label} → {method.label}", change), *_change(results, base, method))
        for base, method, change in ablations(params, results)
    ]
    details = ("after", "change in points")
    heads = [Column(name, detail) for name in results.main_threats.values() for detail in details]
    caption = (
        "Ablations: aligned-margin methods that differ in one parameter. Robust accuracy after the change, and its paired "
        "difference from before."
    )
    return [Table(caption, (Column("Change"), *heads), tuple(rows))] if rows else []


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """What differs between the parameters of two methods: `margin: 1.0 → 0.0`."""
    keys = [key for key in dict.fromkeys((*before, *after)) if before.get(key) != after.get(key)]
    return [f"{key}: {before.get(key)} → {after.get(key)}" for key in keys]


def _settings(params: Params, results: MethodResults, method: MethodResult) -> dict[str, object]:
    """The parameters of a method by their dotted keys, without its name in tables."""
    section = method_section(params, results.dataset, method.method.name).model_dump(mode="json")
    of_run = {"λ": method.lambda_, "targets": method.method.source}
    return {key: value for key, value in _flattened(section).items() if key not in ("label", "targets")} | of_run


def _flattened(section: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """`{"ramp": {"until": 0.5}}` → `{"ramp.until": 0.5}`."""
    flat: dict[str, object] = {}
    for key, value in section.items():
        flat |= _flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _change(results: MethodResults, a: MethodResult, b: MethodResult) -> list[Entry]:
    return [
        entry
        for threat in results.main_threats
        for entry in (Entry(with_sd(b.robust(threat), percent)), difference_entry(results, b, a, threat))
    ]
