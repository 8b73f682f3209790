"""The paper's tables with our numbers beside its own, and the list of what was not run."""

from collections.abc import Sequence

from pag.figures.names import eps_text, method_name, norm_name, percent
from pag.figures.page import Column, Entry, Item, Section, Table
from stages.reporting.paper import Block, PaperEntry, Row, commands, read_paper
from stages.reporting.results import GridResults
from stages.reporting.sources import Found, Measured, Source, read_kept, todays

__all__ = ["agree", "comparison_table", "paper_sections"]

SAME_EPS = 0.01  # relative; the paper's 8/255 and ours may be rounded
WIDE = 3  # measures that stand side by side; a table of more has a row for each
ACRONYMS = ("ead", "fmn", "l0", "l1", "pgd")
NONE = Entry("–")


def paper_sections(results: Sequence[GridResults]) -> list[Section]:
    """The comparison with the paper, where anything of it was measured, and the list of what today's grid does not hold."""
    today = todays(results)
    sources = [today, *read_kept()]
    entries = read_paper()
    compared = [entry for entry in entries if any(_numbers(entry, source) for source in sources)]
    sections = [_comparison(compared, sources)] if compared else []
    sections += _beside(entries, sources[1:])
    missing = [entry for entry in entries if not (entry.toy or _numbers(entry, today) or _drawn(entry, today))]
    return [*sections, Section("Not run here", items=tuple(_item(entry) for entry in missing))]


def _comparison(entries: Sequence[PaperEntry], sources: Sequence[Source]) -> Section:
    text = (
        "Ours with its confidence interval, the number that the paper prints, and the difference in points. There is a difference "
        "only where both were attacked with the same ε; where ours was another, it stands below the interval."
    )
    kept = [f"“{source.name}” was measured on {source.provenance}." for source in sources if source.provenance]
    paragraphs = (text, " ".join(kept)) if kept else (text,)
    return Section("Beside the paper", paragraphs, tuple(comparison_table(entry, sources) for entry in entries))


def _beside(entries: Sequence[PaperEntry], kept: Sequence[Source]) -> list[Section]:
    """Kept cells that the paper has no row for, so that they would be shown nowhere else."""
    papers = {(block.dataset, block.architecture, row.method) for entry in entries for block, row in entry.rows}
    tables = []
    for source in kept:
        own = [cell for cell in source.cells if (cell.dataset, cell.architecture, cell.method) not in papers]
        for place in dict.fromkeys((cell.dataset, cell.architecture) for cell in own):
            tables.append(_kept_table(source, [cell for cell in own if (cell.dataset, cell.architecture) == place]))
    text = "Runs kept in results/ of data, networks and methods that the paper does not have. In brackets the confidence interval."
    return [Section("Other kept results", (text,), tuple(tables))] if tables else []


def _kept_table(source: Source, cells: Sequence[Found]) -> Table:
    """All that was measured of one data set and architecture, in order of the cells."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.measures))
    heads = (Column("Method"), *(Column(_measure_name(name)) for name in names))
    rows = [(_kept_label(cell), *(_kept_entry(name, cell.measures.get(name)) for name in names)) for cell in cells]
    place = f"{cells[0].dataset}, {cells[0].architecture}"
    return Table(f"“{source.name}”: {place}; measured on {source.provenance}.", heads, tuple(rows))


def _kept_label(cell: Found) -> Entry:
    return Entry(method_name(cell.method), "" if cell.lambda_ is None else f"λ = {cell.lambda_:g}")


def _kept_entry(name: str, measured: Measured | None) -> Entry:
    if measured is None:
        return NONE
    if name != "alignment":  # all but the cosine are accuracies
        return _ours(measured, same_eps=False)
    low, high = measured.interval
    return Entry(f"{measured.value:.3f}", f"[{low:.3f}, {high:.3f}]\nn = {measured.n}")


def _item(entry: PaperEntry) -> Item:
    ratios = [f"{r.ratio:g} against PGD-{r.attack_steps}" for r in entry.ratios]
    told = f": {', '.join(ratios)}" if ratios else ""
    where = f" ({entry.place})" if not entry.ratios else ""
    made = commands(entry)
    return Item(f"{entry.name}{where}: {entry.caption}{told}{'' if made else '; nothing to run'}.", tuple(made))


def _cell(entry: PaperEntry, block: Block, row: Row, source: Source) -> Found | None:
    swept = None if entry.kind == "lambda" else row.lambda_
    return source.cell(block.dataset, block.architecture, row.method, swept)


def _drawn(entry: PaperEntry, source: Source) -> bool:
    """Whether a figure without numbers shows a cell that was run."""
    cells = (_cell(entry, block, row, source) for block, row in entry.rows)
    return entry.kind == "figure" and not entry.measures and any(cells)


def _numbers(entry: PaperEntry, source: Source) -> bool:
    """Whether any number was measured that the entry is about: clean accuracy alone is not what a table of attacks shows."""
    attacked = [measure for measure in entry.measures if measure != "clean"]
    cells = ((row, _cell(entry, block, row, source)) for block, row in entry.rows)
    return any(
        _told(entry, row, cell) and (not attacked or any(m in cell.measures for m in attacked))
        for row, cell in cells
        if cell
    )


def _told(entry: PaperEntry, row: Row, cell: Found | None) -> bool:
    if cell is None:
        return False
    return cell.lambda_ is not None if entry.kind == "lambda" else not cell.measures.keys().isdisjoint(row.values)


def comparison_table(entry: PaperEntry, sources: Sequence[Source]) -> Table:
    """A table of the paper's: a row for each of its rows and each source that measured it, or the paper's numbers alone.

    A table of many measures has a row for each of them too. The column "Run" names the source where there are several.

    Args:
        entry: with at least one row.
        sources: ours.
    """
    run = (Column("Run"),) if len(sources) > 1 else ()
    lines = [line for block, row in entry.rows for line in _lines(entry, block, row, sources)]
    note = f" {entry.note}" if entry.note else ""
    caption = f"The paper's {entry.name} ({entry.place}): {entry.caption}.{note}"
    return Table(caption, (Column("Method"), *run, *_heads(entry)), tuple(lines))


def _heads(entry: PaperEntry) -> tuple[Column, ...]:
    if entry.kind == "lambda":
        return (Column("λ", "ours"), Column("λ", "paper"))
    if len(entry.measures) > WIDE:
        return (Column("Accuracy", "ours"), Column("Accuracy", "paper"), Column("Δ", "points"))
    heads: list[Column] = []
    for measure in entry.measures:
        name, eps = _measure_name(measure), _common_eps(entry, measure)
        detail = "paper" if eps is None else f"paper\nε = {eps_text(eps)}"
        heads += [Column(name, "ours"), Column(name, detail), Column("Δ", "points")]
    return tuple(heads)


def _common_eps(entry: PaperEntry, measure: str) -> float | None:
    """The ε of a measure, where it is the same in all blocks and the measure has a column of its own."""
    eps = {block.eps.get(measure) for block in entry.blocks}
    return eps.pop() if len(eps) == 1 and len(entry.measures) <= WIDE else None


def _measure_name(measure: str) -> str:
    """`autoattack.l2_large` → `AA L₂ large`, `foolbox.l0_fmn` → `L0 FMN`, `foolbox.gaussian_blur` → `Gaussian blur`."""
    kind, _, name = measure.partition(".")
    if kind != "autoattack":
        words = (name or kind).split("_")
        return " ".join(
            word.upper() if word in ACRONYMS else word.capitalize() if i == 0 else word for i, word in enumerate(words)
        )
    norm, *rest = name.split("_")
    return " ".join(["AA", norm_name(norm), *rest])


def _lines(entry: PaperEntry, block: Block, row: Row, sources: Sequence[Source]) -> list[tuple[Entry, ...]]:
    """The lines of one row of the paper: of each source that measured it, else with the paper's numbers alone."""
    cells = [(source.name, _cell(entry, block, row, source)) for source in sources]
    found = [(name, cell) for name, cell in cells if _told(entry, row, cell)]
    swept = entry.kind != "lambda" and row.lambda_ is not None
    method = f"{method_name(row.method)}, λ = {row.lambda_:g}" if swept else method_name(row.method)
    where = f"{block.dataset}, {block.architecture}"
    lines: list[tuple[Entry, ...]] = []
    for name, cell in found or [("–", None)]:
        run = [Entry(name)] if len(sources) > 1 else []
        numbers = {m: _triple(entry, block, row, cell, m) for m in entry.measures}
        if entry.kind == "lambda":
            numbers = {"lambda": (_lambda(cell.lambda_ if cell else None), _lambda(row.lambda_))}
        if len(numbers) > WIDE:
            lines += [(Entry(_measure_name(m), f"{method}, {where}"), *run, *triple) for m, triple in numbers.items()]
        else:
            label = Entry(method, where)
            lines.append((label, *run, *(part for parts in numbers.values() for part in parts)))
    return lines


def _lambda(value: float | None) -> Entry:
    return NONE if value is None else Entry(f"{value:g}")


def _triple(entry: PaperEntry, block: Block, row: Row, cell: Found | None, measure: str) -> tuple[Entry, ...]:
    """Our number, the paper's, and the difference, of one measure."""
    printed, eps = row.values.get(measure), block.eps.get(measure)
    if printed is None:
        return (NONE, NONE, NONE)
    told = eps is not None and _common_eps(entry, measure) is None
    paper = Entry(f"{100 * printed:.2f}%", f"ε = {eps_text(eps)}" if eps is not None and told else "")
    ours = cell.measures.get(measure) if cell is not None else None
    if ours is None:
        return (NONE, paper, NONE)
    same = agree(ours.eps, eps)
    return (_ours(ours, same), paper, Entry(_points(ours.value - printed)) if same else NONE)


def agree(ours: float | None, paper: float | None) -> bool:
    """Whether two ε are the same to a relative 1 %, or neither number has one."""
    if ours is None or paper is None:
        return ours is paper
    return abs(ours - paper) <= SAME_EPS * paper


def _ours(measured: Measured, same_eps: bool) -> Entry:
    low, high = (percent(end).removesuffix("%") for end in measured.interval)
    eps = "" if same_eps or measured.eps is None else f"\nε = {eps_text(measured.eps)}"
    return Entry(percent(measured.value), f"[{low}, {high}]\nn = {measured.n}{eps}")


def _points(difference: float) -> str:
    """`-0.0123` → `−1.2`; what rounds to nothing has no sign."""
    rounded = round(100 * difference, 1) + 0.0
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"
