"""The paper's tables with our numbers beside its own, and the list of what was not run."""

from collections.abc import Callable, Sequence

from pag.attacks.autoattack_parts import substituted
from pag.evaluation.metrics import Attacked, AutoAttacked, Estimate
from pag.evaluation.seeds import Repeated
from pag.figures.names import eps_text, norm_name, percent, points
from pag.page.report import Column, Entry, Section, Table
from stages.reporting.costs import times_text
from stages.reporting.evaluated import Evaluated
from stages.reporting.methods import MethodResults
from stages.reporting.paper import Block, Paper, PaperEntry, Row, read_paper
from stages.reporting.sources import Source, read_kept, todays

__all__ = ["agree", "comparison_table", "kept_tables", "measure_name", "paper_sections"]

SAME_EPS = 0.01  # relative; the paper's 8/255 and ours may be rounded
WIDE = 3  # measures that stand side by side; a table of more has a row for each
ACRONYMS = ("ead", "fmn", "l0", "l1")
THREATENED = {"autoattack": "AA", "pgd": "PGD", "apgd_t": "APGD-T"}  # attacks whose measures are named by their threat
NONE = Entry("–")


def paper_sections(results: Sequence[MethodResults]) -> list[Section]:
    """The comparison with the paper, where anything of it was measured, and the list of what today's grid does not hold."""
    today = todays(results)
    sources = [today, *read_kept()]
    paper = read_paper()
    compared = [entry for entry in paper.entries if any(_numbers(entry, source) for source in sources)]
    sections = [_comparison(paper, compared, sources)] if compared else []
    sections += _beside(paper, sources[1:])
    missing = [entry for entry in paper.entries if not (entry.toy or _numbers(entry, today) or _drawn(entry, today))]
    return [*sections, *([Section("Not run here", tables=(_missing_table(paper, missing),))] if missing else [])]


def _comparison(paper: Paper, entries: Sequence[PaperEntry], sources: Sequence[Source]) -> Section:
    text = (
        "Our number with its confidence interval, the paper's, which has none, and the difference in percentage points. The "
        "difference is given only where both were attacked with the same ε; where ours differs, it is below the interval."
    )
    kept = [f"“{source.name}” was measured on {source.provenance}." for source in sources if source.provenance]
    paragraphs = (text, " ".join(kept)) if kept else (text,)
    return Section(
        "Compared with the paper", paragraphs, tuple(comparison_table(paper, entry, sources) for entry in entries)
    )


def _beside(paper: Paper, kept: Sequence[Source]) -> list[Section]:
    """Kept cells that the paper has no row for, so that they would be shown nowhere else."""
    papers = {(block.dataset, block.architecture, row.method) for entry in paper.entries for block, row in entry.rows}
    tables = [
        table
        for source in kept
        for table in kept_tables(source, [c for c in (*source.cells, *source.sweep) if _place(c) not in papers])
    ]
    text = "Runs kept in results/ of data, networks and methods that are not in the paper. In brackets: the confidence interval."
    return [Section("Other kept results", (text,), tuple(tables))] if tables else []


def _place(cell: Evaluated) -> tuple[str, str, str]:
    return cell.first.dataset, cell.first.architecture, cell.method.name


def kept_tables(source: Source, cells: Sequence[Evaluated]) -> list[Table]:
    """All that was measured in `cells` of a kept run: a table for each data set and architecture, rows in order of the cells."""
    places = dict.fromkeys(_place(cell)[:2] for cell in cells)
    return [_kept_table(source, [cell for cell in cells if _place(cell)[:2] == place]) for place in places]


def _kept_table(source: Source, cells: Sequence[Evaluated]) -> Table:
    measured = {
        name: measure for cell in cells for name, measure in cell.first.measures.items()
    }  # the cells of a run share ε and n
    heads = [
        Column("Method"),
        *(Column(_head(name, measure), _conditions(measure)) for name, measure in measured.items()),
    ]
    costs = _kept_costs(cells)
    heads += [Column("Training", "vanilla = 1")] if costs else []
    rows = [
        (_kept_label(cell), *(_kept_entry(name, cell) for name in measured), *costs[i : i + 1])
        for i, cell in enumerate(cells)
    ]
    place, runs = ", ".join(_place(cells[0])[:2]), {len(cell.evaluations) for cell in cells}
    of_runs = "" if runs == {1} else f" mean ± standard deviation over {' or '.join(map(str, sorted(runs)))} runs;"
    return Table(f"“{source.name}”: {place};{of_runs} measured on {source.provenance}.", tuple(heads), tuple(rows))


def _head(name: str, measure: Estimate) -> str:
    """What a column is called: AutoAttack is none where another attack was run in the place of one of its own."""
    substitute = isinstance(measure, AutoAttacked) and substituted(measure.attacks)
    return measure_name(name).replace(THREATENED["autoattack"], "Substitute") if substitute else measure_name(name)


def _kept_costs(cells: Sequence[Evaluated]) -> list[Entry]:
    """What training cost in units of vanilla's, an entry for each cell; none where it is not known."""
    unit = next((cell.forwards for cell in cells if cell.method.family == "vanilla"), None)
    if not unit:
        return []
    return [NONE if cell.forwards is None else Entry(times_text(cell.forwards / unit)) for cell in cells]


def _conditions(measure: Estimate) -> str:
    eps = _eps(measure)
    return f"n = {measure.n}" if eps is None else f"ε = {eps_text(eps)}\nn = {measure.n}"


def _kept_label(cell: Evaluated) -> Entry:
    return Entry(cell.method.label, "" if cell.lambda_ is None else f"λ = {cell.lambda_:g}")


def _kept_entry(name: str, cell: Evaluated) -> Entry:
    measure = cell.measures.get(name)
    if measure is None:
        return NONE
    written = _cosine if name == "alignment" else percent  # all but the cosine are accuracies
    low, high = map(written, measure.interval)
    return Entry(_with_sd(measure, written), f"[{low}, {high}]".replace("%", ""), doubt=", ".join(cell.doubts(name)))


def _cosine(value: float) -> str:
    return f"{value:.3f}"


def _with_sd(measure: Repeated, written: Callable[[float], str]) -> str:
    """`34.2% ± 0.8` of several runs, `34.2%` of one."""
    sd = "" if measure.sd is None else f" ± {written(measure.sd).removesuffix('%')}"
    return written(measure.value) + sd


def _missing_table(paper: Paper, entries: Sequence[PaperEntry]) -> Table:
    """The paper's tables and figures that today's grid does not hold, with the commands that make them."""
    heads = (Column("In the paper"), Column("What it shows", prose=True), Column("To run it"))
    return Table(
        "Tables and figures of the paper that were not run here.", heads, tuple(_missing(paper, e) for e in entries)
    )


def _missing(paper: Paper, entry: PaperEntry) -> tuple[Entry, ...]:
    ratios = ", ".join(f"{r.ratio:g} against PGD-{r.attack_steps}" for r in entry.ratios)
    shows = f"{entry.caption}: {ratios}" if ratios else entry.caption
    commands = tuple(paper.commands(entry))
    return (
        Entry(entry.name, "" if entry.ratios else entry.place),
        Entry(shows),
        Entry("" if commands else "nothing to run", commands=commands),
    )


def _cell(entry: PaperEntry, block: Block, row: Row, source: Source) -> Evaluated | None:
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
        _measures_any(entry, row, cell) and (not attacked or any(m in cell.measures for m in attacked))
        for row, cell in cells
        if cell
    )


def _measures_any(entry: PaperEntry, row: Row, cell: Evaluated) -> bool:
    """Whether a cell has a number to stand beside the row's."""
    return cell.lambda_ is not None if entry.kind == "lambda" else not cell.measures.keys().isdisjoint(row.values)


def comparison_table(paper: Paper, entry: PaperEntry, sources: Sequence[Source]) -> Table:
    """A table of the paper's: a row for each of its rows and each source that measured it, or the paper's numbers alone.

    A table of many measures has a row for each of them too. The column "Run" names the source where there are several.

    Args:
        paper: for the labels of methods.
        entry: with at least one row.
        sources: ours.
    """
    run = (Column("Run"),) if len(sources) > 1 else ()
    lines = [
        line
        for block, row in entry.rows
        for line in _lines(entry, block, row, paper.methods[row.method].label, sources)
    ]
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
        name, eps = measure_name(measure), _common_eps(entry, measure)
        detail = "paper" if eps is None else f"paper\nε = {eps_text(eps)}"
        heads += [Column(name, "ours"), Column(name, detail), Column("Δ", "points")]
    return tuple(heads)


def _common_eps(entry: PaperEntry, measure: str) -> float | None:
    """The ε of a measure, where it is the same in all blocks and the measure has a column of its own."""
    eps = {block.eps.get(measure) for block in entry.blocks}
    return eps.pop() if len(eps) == 1 and len(entry.measures) <= WIDE else None


def measure_name(measure: str) -> str:
    """`autoattack.l2_large` → `AA L₂ large`, `pgd.l2` → `PGD L₂`, `foolbox.l0_fmn` → `L0 FMN`, `clean` → `Clean`."""
    kind, _, name = measure.partition(".")
    if kind in THREATENED:
        norm, *rest = name.split("_")
        return " ".join([THREATENED[kind], norm_name(norm), *rest])
    words = (name or kind).split("_")
    return " ".join(
        word.upper() if word in ACRONYMS else word.capitalize() if i == 0 else word for i, word in enumerate(words)
    )


def _lines(entry: PaperEntry, block: Block, row: Row, label: str, sources: Sequence[Source]) -> list[tuple[Entry, ...]]:
    """The lines of one row of the paper: of each source that measured it, else with the paper's numbers alone."""
    cells = [(source.name, _cell(entry, block, row, source)) for source in sources]
    found = [(name, cell) for name, cell in cells if cell and _measures_any(entry, row, cell)]
    shown: Sequence[tuple[str, Evaluated | None]] = found or [("–", None)]
    swept = entry.kind != "lambda" and row.lambda_ is not None
    method = f"{label}, λ = {row.lambda_:g}" if swept else label
    where = f"{block.dataset}, {block.architecture}"
    lines: list[tuple[Entry, ...]] = []
    for name, cell in shown:
        run = [Entry(name)] if len(sources) > 1 else []
        numbers = {m: _triple(entry, block, row, cell, m) for m in entry.measures}
        if entry.kind == "lambda":
            numbers = {"lambda": (_lambda(cell.lambda_ if cell else None), _lambda(row.lambda_))}
        if len(numbers) > WIDE:
            lines += [(Entry(measure_name(m), f"{method}, {where}"), *run, *triple) for m, triple in numbers.items()]
        else:
            lines.append((Entry(method, where), *run, *(part for parts in numbers.values() for part in parts)))
    return lines


def _lambda(value: float | None) -> Entry:
    return NONE if value is None else Entry(f"{value:g}")


def _triple(entry: PaperEntry, block: Block, row: Row, cell: Evaluated | None, measure: str) -> tuple[Entry, ...]:
    """Our number, the paper's, and the difference, of one measure."""
    printed, eps = row.values.get(measure), block.eps.get(measure)
    if printed is None:
        return (NONE, NONE, NONE)
    own_eps = eps is not None and _common_eps(entry, measure) is None
    paper = Entry(f"{100 * printed:.2f}%", f"ε = {eps_text(eps)}" if eps is not None and own_eps else "")
    ours = cell.measures.get(measure) if cell is not None else None
    if ours is None or cell is None:
        return (NONE, paper, NONE)
    own = _eps(cell.first.measures[measure])
    same = agree(own, eps)
    return (
        _ours(ours, own, same, ", ".join(cell.doubts(measure))),
        paper,
        _difference(ours, printed) if same else NONE,
    )


def _difference(ours: Repeated, printed: float) -> Entry:
    """How far ours is from the printed number, which is taken as exact: the paper gives no interval."""
    low, high = (points(end - printed) for end in ours.interval)
    return Entry(points(ours.value - printed), f"[{low}, {high}]")


def agree(ours: float | None, paper: float | None) -> bool:
    """Whether two ε are the same to a relative 1 %, or neither number has one."""
    if ours is None or paper is None:
        return ours is paper
    return abs(ours - paper) <= SAME_EPS * paper


def _eps(measure: Estimate) -> float | None:
    return measure.eps if isinstance(measure, Attacked) else None


def _ours(measure: Repeated, eps: float | None, same_eps: bool, doubt: str) -> Entry:
    low, high = (percent(end).removesuffix("%") for end in measure.interval)
    other = "" if same_eps or eps is None else f"\nε = {eps_text(eps)}"
    return Entry(_with_sd(measure, percent), f"[{low}, {high}]\nn = {measure.n}{other}", doubt=doubt)
