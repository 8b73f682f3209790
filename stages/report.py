"""`report`: the page, the tables, and the numbers as CSV, from what `visualize` gathered and the toy's results."""

import csv
import json
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from pag.base.files import read_json, written_whole
from pag.figures.charts import toy_boundaries, toy_seeds
from pag.figures.names import percent
from pag.figures.page import FigureEntry, Report, Section, render_html, render_markdown
from pag.figures.style import png_bytes
from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.params.toy import ToyParams
from stages.paths import REPORT, TIMES, TOY
from stages.reporting.findings import findings
from stages.reporting.paper_tables import paper_sections
from stages.reporting.results import CellResult, GridResults, Measure, read_arrays, read_gathered
from stages.reporting.sections import grid_sections, lambda_section, toy_table
from stages.run import read_times, stage_run

__all__ = ["run"]

TITLE = "Do perceptually aligned gradients imply robustness?"
PACKAGES = ("torch", "torchvision", "numpy", "zarr", "pyautoattack", "foolbox", "dvc")
TOY_NAMES = {"vanilla": "Vanilla", "aligned": "Aligned (NN)"}
Row = Sequence[object]


def run(params: Params) -> None:
    """Writes `data/report/`: `index.html`, `tables.md`, `results.csv`, `lambda.csv`, `curves.csv`, and beside them `times.js`.

    Raises:
        InputError: a cell of the grid, a figure or the toy has no results.
    """
    with stage_run("report"):
        grid = read_grid(params)
        results = [read_gathered(params, d, a) for d in grid.datasets for a in grid.architectures]
        report = _report(params, results)
        _write(REPORT / "index.html", render_html(report))
        _write(REPORT / "tables.md", render_markdown(report))
        where = ("dataset", "architecture", "method")
        _write_csv(
            REPORT / "results.csv", (*where, "lambda", "metric", "value", "low", "high", "n"), _result_rows(results)
        )
        _write_csv(REPORT / "lambda.csv", _lambda_head(results), _lambda_rows(results))
        _write_csv(REPORT / "curves.csv", (*where, "epoch", "name", "value"), _curve_rows(results))
    _write_times()


def _report(params: Params, results: Sequence[GridResults]) -> Report:
    toy_answer, toy_section = _toy(params)
    answers = [(f"{r.dataset}, {r.architecture}", tuple(findings(r))) for r in results]
    sections = [section for r in results for section in grid_sections(params, r)]
    files = [params.main, *map(params.dataset, read_grid(params).datasets)]
    parameters = yaml.safe_dump({f.name: f.content for f in files}, sort_keys=False, allow_unicode=True, width=100)
    return Report(
        title=TITLE,
        answers=(*answers, toy_answer),
        sections=(*sections, toy_section, lambda_section(params), *paper_sections(results)),
        settings=_settings(params),
        parameters=parameters,
        times_file=str(TIMES),
    )


def _settings(params: Params) -> tuple[tuple[str, str], ...]:
    versions = [(name, _version(name)) for name in PACKAGES]
    return (("seed", str(params.seed)), ("python", platform.python_version()), *versions)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _toy(params: Params) -> tuple[tuple[str, tuple[str, ...]], Section]:
    """The toy's answer and its section (section 5.1, figure 4)."""
    metrics, arrays = read_json(TOY / "metrics.json"), read_arrays(TOY / "boundaries.safetensors")
    paper, attack = metrics["paper"], params.main.read("toy", ToyParams).attack
    robust = {name: metrics[kind]["robust"] for kind, name in TOY_NAMES.items()}
    means = [percent(robust[name]["mean"]) for name in TOY_NAMES.values()]
    pairs = list(zip(*(spread["values"] for spread in robust.values()), strict=True))
    wins = sum(aligned > vanilla for vanilla, aligned in pairs)
    answer = (
        f"In {wins} of {len(pairs)} pairs of networks the aligned one is the more robust.",
        f"Under an attack of ε = {attack.eps:g}, {means[1]} against {means[0]} on average; the paper, of one pair: "
        f"{percent(paper['aligned'])} against {percent(paper['vanilla'])}.",
    )
    predicted = {name: arrays[kind] for kind, name in TOY_NAMES.items()}
    boundaries = toy_boundaries(arrays["points"], arrays["labels"], arrays["grid_x1"], arrays["grid_x2"], predicted)
    seeds = toy_seeds({name: s["values"] for name, s in robust.items()}, {n: paper[k] for k, n in TOY_NAMES.items()})
    figures = (
        FigureEntry(
            png_bytes(boundaries),
            f"As the paper's Figure 4: test points and decision boundaries of pair {int(arrays['pair']) + 1}, to scale.",
            "Two panels with points on a line and the regions of both classes: vanilla, and aligned.",
        ),
        FigureEntry(
            png_bytes(seeds),
            f"Accuracy of each pair under PGD (ε = {attack.eps:g}, {attack.steps} steps); each pair has its own data and weights.",
            "Dots for each pair of networks, vanilla and aligned, with lines at the paper's numbers.",
        ),
    )
    return ("toy", answer), Section("The toy", (), (toy_table(metrics, paper, TOY_NAMES),), figures)


def _write(path: Path, text: str) -> None:
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _write_csv(path: Path, head: Sequence[str], rows: Iterator[Row]) -> None:
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def _result_rows(results: Sequence[GridResults]) -> Iterator[Row]:
    """Every measure of every cell of the grid and of the sweep; the accuracy after a single attack has no interval."""
    for r in results:
        for cell in (*r.cells, *r.sweep):
            e = cell.evaluation
            start = (r.dataset, r.architecture, e.method, e.lambda_)
            for name, measure in _measures(cell):
                yield (*start, name, *measure.triple, measure.n)
            for threat, attacked in e.autoattack.items():
                for attack, value in attacked.attacks.items():
                    yield (*start, f"autoattack.{threat}.{attack}", value, None, None, attacked.n)


def _measures(cell: CellResult) -> Iterator[tuple[str, Measure]]:
    evaluation = cell.evaluation
    yield "clean", evaluation.clean
    for kind, of in (("autoattack", evaluation.autoattack), ("pgd", evaluation.pgd), ("foolbox", evaluation.foolbox)):
        for name, attacked in of.items():
            yield f"{kind}.{name}", attacked
    yield "alignment", evaluation.alignment


def _lambda_columns(results: Sequence[GridResults]) -> list[str]:
    return list(dict.fromkeys(name for r in results for name, _ in _measures(r.cells[0])))


def _lambda_head(results: Sequence[GridResults]) -> Sequence[str]:
    names = [name.removeprefix("autoattack.") for name in _lambda_columns(results)]
    return ("dataset", "architecture", "lambda", *(f"{name}{end}" for name in names for end in ("", "_low", "_high")))


def _lambda_rows(results: Sequence[GridResults]) -> Iterator[Row]:
    """Figure 5's numbers: a row for each λ, a column for each measure."""
    for r in results:
        for lambda_, cell in r.by_lambda:
            measures = dict(_measures(cell))
            triples = [measures[n].triple if n in measures else (None, None, None) for n in _lambda_columns(results)]
            yield (r.dataset, r.architecture, lambda_, *(value for triple in triples for value in triple))


def _curve_rows(results: Sequence[GridResults]) -> Iterator[Row]:
    for r in results:
        for cell in (*r.cells, *r.sweep):
            epochs = cell.curves.get("epoch", [])
            for name, values in cell.curves.items():
                if name == "epoch":
                    continue
                for epoch, value in zip(epochs, values, strict=True):
                    if epoch is not None and value is not None:
                        yield (r.dataset, r.architecture, cell.name, int(epoch), name, value)


def _write_times() -> None:
    """Puts the last wall-clock time of each stage beside the page; it is no output of the stage, since it varies."""
    seconds = read_times()
    if not seconds:
        (REPORT / "times.js").unlink(missing_ok=True)
        return
    times = [{"stage": stage, "seconds": value} for stage, value in seconds.items()]
    _write(REPORT / "times.js", f"window.PAG_TIMES = {json.dumps(times, indent=1)};\n")
