"""What each part of the aligned margin is worth: methods that differ in one parameter."""

from collections.abc import Mapping
from itertools import combinations

from pag.figures.names import percent
from pag.figures.page import Column, Entry, Table
from stages.params.methods import method_section
from stages.params.reading import Params
from stages.reporting.methods import MethodResult, MethodResults
from stages.reporting.tables import difference_entry, with_sd

__all__ = ["ablation_tables"]


def ablation_tables(params: Params, results: MethodResults) -> list[Table]:
    """Pairs of aligned-margin methods that differ in one parameter, λ and source included: what that one is worth."""
    ours, threats = results.of("aligned-margin"), results.main_threats
    settings = {method.name: _settings(params, results, method) for method in ours}
    rows = []
    for a, b in combinations(ours, 2):
        differing = [
            key for key in settings[a.name] | settings[b.name] if settings[a.name].get(key) != settings[b.name].get(key)
        ]
        if len(differing) != 1:
            continue
        change = f"{differing[0]}: {settings[a.name].get(differing[0])} → {settings[b.name].get(differing[0])}"
        rows.append((Entry(f"{a.label} → {b.label}", change), *_change(results, a, b)))
    heads = [Column("Change"), *(Column(name, detail) for name in threats.values() for detail in ("", "change"))]
    caption = (
        "Ablations: methods of the aligned margin that differ in one parameter. Robust accuracy of the latter, and its paired "
        "difference to the former in points."
    )
    return [Table(caption, tuple(heads), tuple(rows))] if rows else []


def _settings(params: Params, results: MethodResults, method: MethodResult) -> dict[str, object]:
    """The parameters of a method by their dotted keys, without its name in tables."""
    section = method_section(params, results.dataset, method.method.name).model_dump(mode="json")
    of_run = {"lambda": method.lambda_, "targets": method.method.source}
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
