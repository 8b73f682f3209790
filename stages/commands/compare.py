"""`compare`: two cells of the grid, or two runs cell by cell: how they differ, and whether one can tell."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from pag.base.errors import InputError
from pag.figures.names import attack_name, percent, points, threat_names
from stages.commands.console import console
from stages.commands.differences import Differing, differences
from stages.commands.runs import Run, Side, kept_run, of_revision, run_here
from stages.params.reading import Params
from stages.reporting.comparisons import joined
from stages.reporting.sources import KEPT

__all__ = ["run"]

HERE = "here"
HEADLINE = re.compile(r"clean|autoattack\..*|alignment")


def run(params: Params, a: str, b: str) -> None:
    """Prints how a differs from b.

    Args:
        params: with the architectures, by which methods are told from them.
        a, b: two cells, or two runs: `here`, a name in `results/`, or a revision.

    Raises:
        InputError: either is not there, is ambiguous, or they are of two kinds or have nothing in common.
    """
    here = run_here()
    architectures = list(params.main.content["architectures"])
    one, other = (_found(name, here, architectures) for name in (a, b))
    if isinstance(one, Side) and isinstance(other, Side):
        _print_cells(one, other)
    elif isinstance(one, Run) and isinstance(other, Run):
        _print_runs(one, other)
    else:
        cell, whole = (a, b) if isinstance(one, Side) else (b, a)
        raise InputError(f"{cell} is a cell and {whole} is a run; compare takes two of the same kind.")


def _found(name: str, here: Run, architectures: Sequence[str]) -> Side | Run:
    """What a name means: a cell, else the run here, else one that is kept, else a revision."""
    if name == HERE:
        return here
    cells = [cell for cell in here.sides if _is_of(cell, name, architectures)]
    if len(cells) > 1:
        raise InputError(f"{name} is ambiguous: there are {joined(cells)}.")
    if cells:
        return here.sides[cells[0]]
    kept = [file for file in (Path(name), KEPT / f"{name}.json") if file.suffix == ".json" and file.is_file()]
    if kept:
        return kept_run(kept[0])
    found = of_revision(name) if name and ":" not in name else None  # no file of a revision
    if found is None:
        near = get_close_matches(name, _names(here, architectures))
        told = f"; closest: {joined(near)}" if near else ""
        raise InputError(f"{name} is not a cell evaluated here, a run in {KEPT}/ or a revision{told}.")
    return found


def _names(here: Run, architectures: Sequence[str]) -> list[str]:
    """All that can be asked for, but for revisions."""
    cells = (name for cell in here.sides for name in (cell, cell.partition("/")[2], _method(cell, architectures)))
    return list(dict.fromkeys([*cells, *(file.stem for file in KEPT.glob("*.json"))]))


def _is_of(cell: str, name: str, architectures: Sequence[str]) -> bool:
    return name in (cell, cell.partition("/")[2], _method(cell, architectures))


def _method(cell: str, architectures: Sequence[str]) -> str:
    """`digits/resnet8-vanilla` → `vanilla`."""
    name = cell.partition("/")[2]
    ours = next((of for of in architectures if name.startswith(f"{of}-")), "")
    return name.removeprefix(f"{ours}-") if ours else ""


def _print_cells(a: Side, b: Side) -> None:
    """A row a measure."""
    names = _titles(a)
    found = list(differences(a, b))
    one, other = _told_apart(a, b)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in (one, other, "Difference", "Interval"):
        table.add_column(escape(head), justify="right")
    table.add_column("")
    for of in found:
        values = (_value(of.measure, of.a), _value(of.measure, of.b))
        how = f"{of.how}{f'; ✗ {joined(of.doubts)}' if of.doubts else ''}"
        table.add_row(escape(names[of.measure]), *values, _difference(of), _interval(of), escape(how))
    out = console()
    out.print(table)
    out.print(escape(_verdict(one, other, found, names)))


def _told_apart(a: Side, b: Side) -> tuple[str, str]:
    return (a.label, b.label) if a.label != b.label else (a.name, b.name)


def _print_runs(a: Run, b: Run) -> None:
    """A row a cell, with the differences of the headline numbers."""
    shared = [name for name in a.sides if name in b.sides]
    if not shared:
        raise InputError(f"{a.name} and {b.name} have no cell in common.")
    found = {
        name: [d for d in differences(a.sides[name], b.sides[name]) if HEADLINE.fullmatch(d.measure)] for name in shared
    }
    titles = {of.measure: _titles(a.sides[name])[of.measure] for name in shared for of in found[name]}
    table = Table(title=escape(f"{a.name} minus {b.name}"), title_justify="left", box=None, pad_edge=False)
    table.add_column("Cell")
    for title in titles.values():
        table.add_column(title, justify="right")
    for name in shared:
        by_measure = {of.measure: of for of in found[name]}
        table.add_row(escape(name), *(_cell(by_measure.get(measure)) for measure in titles))
    out = console()
    out.print(table)
    out.print(escape(_summary(a, b, [of for name in shared for of in found[name]])))


def _cell(of: Differing | None) -> str:
    if of is None:
        return "–"
    text = f"{_difference(of)} {_interval(of)}"
    return f"[bold]{text}[/bold]" if of.sign else text


def _summary(a: Run, b: Run, every: Sequence[Differing]) -> str:
    differing, identical = [of for of in every if of.sign], [of for of in every if of.a == of.b]
    hows = joined(list(dict.fromkeys(of.how for of in every)))
    only = [f"only {run.name} has {joined(names)}" for run, names in _alone(a, b) if names]
    parts = [
        f"{len(differing)} of {len(every)} numbers differ by more than chance, {len(identical)} are identical",
        hows,
        *only,
    ]
    return f"{'; '.join(parts)}."


def _alone(a: Run, b: Run) -> list[tuple[Run, list[str]]]:
    return [(one, [name for name in one.sides if name not in other.sides]) for one, other in ((a, b), (b, a))]


def _titles(side: Side) -> dict[str, str]:
    """What the page calls the measures of a cell, by their dotted names."""
    metrics = side.evaluations[0]
    threats = threat_names({name: (of.norm, of.eps) for name, of in metrics.autoattack.items()})
    of_threats = {f"autoattack.{name}": f"AA {title}" for name, title in threats.items()}
    of_threats |= {f"pgd.{name}": f"PGD {title}" for name, title in threats.items()}
    of_foolbox = {f"foolbox.{name}": attack_name(name) for name in metrics.foolbox}
    return {"clean": "Clean", **of_threats, **of_foolbox, "alignment": "Alignment"}


def _value(measure: str, value: float) -> str:
    return f"{value:.3f}" if measure == "alignment" else percent(value)


def _difference(of: Differing) -> str:
    return _signed(of, of.difference.value)


def _interval(of: Differing) -> str:
    low, high = (_signed(of, end) for end in of.difference.interval)
    return escape(f"[{low}, {high}]")


def _signed(of: Differing, value: float) -> str:
    """A cosine's difference, or one of fractions in percentage points; what rounds to nothing has no sign."""
    if of.measure != "alignment":
        return points(value)
    return f"{value:+.3f}".replace("-", "−") if round(value, 3) else "0.000"


def _verdict(one: str, other: str, found: Sequence[Differing], names: dict[str, str]) -> str:
    """`SBG is above Vanilla in AA L₂ and below Vanilla in Clean; inconclusive in Alignment.`"""
    told = {sign: [names[of.measure] for of in found if of.sign == sign] for sign in (1, -1, 0)}
    words = [f"{word} {other} in {joined(told[sign])}" for sign, word in ((1, "above"), (-1, "below")) if told[sign]]
    clauses = [f"{one} is {' and '.join(words)}"] if words else []
    clauses += [f"inconclusive in {joined(told[0])}"] if told[0] else []
    text = "; ".join(clauses) or "They have no measure in common"
    return f"{text[0].upper()}{text[1:]}."
