"""`report`: the page, the tables, and the numbers as CSV, from what `visualize` gathered and the toy's results."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import json_text, read_json
from pag.evaluation.metrics import Attacked, Metrics
from pag.figures.names import percent
from pag.figures.toy import toy_boundaries, toy_seeds
from pag.page.html import render_html
from pag.page.markdown import render_markdown
from pag.page.report import Answer, Report, Section
from stages.params.evaluation import EvaluationParams
from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.params.toy import ToyParams
from stages.paths import REPORT, TOY
from stages.reporting.answers import answer
from stages.reporting.arrays import read_arrays
from stages.reporting.charts import page_chart
from stages.reporting.glossary import GLOSSARY
from stages.reporting.methods import MethodResult, MethodResults, by_method
from stages.reporting.paper import read_paper
from stages.reporting.paper_tables import paper_sections
from stages.reporting.results import CellResult, read_gathered
from stages.reporting.sections import grid_sections, lambda_section
from stages.reporting.tables import toy_table
from stages.reporting.what_was_run import circumstances, what_was_run
from stages.run import read_times, stage_run

__all__ = ["run"]

FILES = {
    "results.csv": "every measure of every run, with its norm, ε, interval and n",
    "cells.csv": "a row for each run, a column for each measure",
    "lambda.csv": "the same by λ",
    "curves.csv": "the curves of training, a row for each epoch of a run",
    "tables.md": "all tables of this page, as Markdown",
}
OUTPUTS = ("index.html", *FILES, "run.js")
TITLE = "Do perceptually aligned gradients imply robustness?"
TOY_NAMES = {"vanilla": "Vanilla", "aligned": "Aligned (NN)"}
TOY_METHODS = {"vanilla": "Vanilla", "nearest_neighbor": "Aligned (NN)"}  # the paper's, by their keys in params
TOY_AXES = {"points": 2, "labels": 1, "grid_x1": 1, "grid_x2": 1, "vanilla": 2, "aligned": 2, "pair": 0}
Row = Sequence[object]


def run(params: Params) -> Path:
    """Writes `data/report/`: `index.html`, `tables.md`, CSV files, and beside them `run.js`.

    `results.csv` has a row for each measure, with its interval; the others have the form of their plots, a column for each measure:
    `cells.csv` a row for each run of a cell, `lambda.csv` for each λ of a run, `curves.csv` for each epoch.

    Raises:
        InputError: a cell of the grid, a figure or the toy has no results.
    """
    with stage_run("report", outputs=[REPORT / name for name in OUTPUTS]):
        grid = read_grid(params)
        results = [_gathered(params, d, a) for d in grid.datasets for a in grid.architectures]
        report = _report(params, results)
        _write(REPORT / "index.html", render_html(report))
        _write(REPORT / "tables.md", render_markdown(report))
        _write_numbers(results)
    _write_run()
    return REPORT / "index.html"


def _gathered(params: Params, dataset: str, architecture: str) -> MethodResults:
    confidence = params.dataset(dataset).read("evaluation", EvaluationParams).confidence
    return by_method(read_gathered(params, dataset, architecture), confidence)


def _write_numbers(results: Sequence[MethodResults]) -> None:
    """The CSV files."""
    measures, where = _columns(results), ("dataset", "architecture", "method", "lambda", "seed", "targets_seed")
    columns = ("metric", "norm", "eps", "value", "low", "high", "n")
    _write_csv(REPORT / "results.csv", (*where, *columns), _result_rows(results))
    names = [name.removeprefix("autoattack.") for name in measures]
    _write_csv(REPORT / "cells.csv", ("cell", *where, *names, "training_forwards"), _cell_rows(results, measures))
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    place = ("cell", "dataset", "architecture", "seed", "targets_seed", "lambda")
    _write_csv(REPORT / "lambda.csv", (*place, *ends), _lambda_rows(results, measures))
    curves = list(dict.fromkeys(name for _, _, run in _all_runs(results) for name in run.curves))
    _write_csv(REPORT / "curves.csv", ("cell", *where, *curves), _curve_rows(results, curves))


def _report(params: Params, results: Sequence[MethodResults]) -> Report:
    toy_answer, toy_section = _toy(params)
    sections = [section for r in results for section in grid_sections(params, r)]
    return Report(
        title=TITLE,
        answers=(*(answer(params, r) for r in results), toy_answer),
        sections=(*sections, toy_section, lambda_section(params), *paper_sections(results)),
        run=what_was_run(params, results, FILES),
        glossary=tuple(GLOSSARY.values()),
    )


class _Spread(BaseModel):
    mean: float
    std: float
    values: list[float] = Field(min_length=1)


class _ToyAccuracies(BaseModel):
    clean: _Spread
    robust: _Spread


class _ToyMetrics(BaseModel):
    vanilla: _ToyAccuracies
    aligned: _ToyAccuracies


def _toy_metrics(path: Path) -> dict[str, dict[str, Any]]:
    """What `evaluate_toy` measured, by kind of network."""
    metrics = read_json(path)
    try:
        toy = _ToyMetrics.model_validate(metrics)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}.") from None
    return toy.model_dump()


def _toy_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Test points with the classes that the networks of a pair predict on a grid."""
    arrays = read_arrays(path, TOY_AXES)
    grid = (len(arrays["grid_x2"]), len(arrays["grid_x1"]))
    fits = all(arrays[kind].shape == grid for kind in TOY_NAMES) and len(arrays["labels"]) == len(arrays["points"])
    if not fits or any((arrays[name] != (arrays[name] != 0)).any() for name in ("labels", *TOY_NAMES)):
        raise InputError(f"{path} is damaged: it does not hold points and regions of two classes.")
    return arrays


def _toy(params: Params) -> tuple[Answer, Section]:
    """The toy's answer and its section (section 5.1, figure 4)."""
    metrics, arrays = _toy_metrics(TOY / "metrics.json"), _toy_arrays(TOY / "boundaries.safetensors")
    attack, printed = params.main.read("toy", ToyParams).attack, read_paper().toy
    paper = {name: printed[method] for method, name in TOY_METHODS.items()}
    robust = {name: metrics[kind]["robust"] for kind, name in TOY_NAMES.items()}
    means = [percent(robust[name]["mean"]) for name in TOY_NAMES.values()]
    pairs = list(zip(*(spread["values"] for spread in robust.values()), strict=True))
    wins = sum(aligned > vanilla for vanilla, aligned in pairs)
    told = Answer(
        "The toy, two-dimensional (section 5.1)",
        f"In {wins} of {len(pairs)} pairs of networks the aligned one is the more robust.",
        f"Under an attack of ε = {attack.eps:g}, {means[1]} against {means[0]} on average; the paper, of one pair: "
        f"{' against '.join(percent(paper[name]) for name in reversed(TOY_NAMES.values()))}.",
    )
    predicted = {name: arrays[kind] for kind, name in TOY_NAMES.items()}
    boundaries = toy_boundaries(arrays["points"], arrays["labels"], arrays["grid_x1"], arrays["grid_x2"], predicted)
    seeds = toy_seeds({name: spread["values"] for name, spread in robust.items()}, paper)
    charts = (
        page_chart(
            boundaries,
            f"As the paper's Figure 4: test points and decision boundaries of pair {int(arrays['pair']) + 1}, to scale.",
            "Two panels with points on a line and the regions of both classes: vanilla, and aligned.",
        ),
        page_chart(
            seeds,
            f"Accuracy of each pair under PGD (ε = {attack.eps:g}, {attack.steps} steps); each pair has its own data and weights.",
            "Dots for each pair of networks, vanilla and aligned, with lines at the paper's numbers.",
        ),
    )
    return told, Section("The toy", (), (toy_table(metrics, paper, TOY_NAMES),), charts=charts)


def _write(path: Path, text: str) -> None:
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _write_csv(path: Path, head: Sequence[str], rows: Iterator[Row]) -> None:
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def _all_runs(results: Sequence[MethodResults]) -> Iterator[tuple[str, Row, CellResult]]:
    """Every run of the grid and of the sweep: what plots call it, and its data set, architecture, method, λ and seeds."""
    for r in results:
        for method in (*r.methods, *r.sweep):
            for run in method.runs:
                e = run.evaluation
                where = (r.dataset, r.architecture, method.method.name, e.lambda_, e.training_seed, e.targets_seed)
                yield f"{r.dataset} {r.architecture} {method.label}{_of_seeds(r, e)}", where, run


def _of_seeds(results: MethodResults, evaluation: Metrics) -> str:
    """What tells the runs of a method apart in plots; nothing where each has one."""
    return f", seed {'-'.join(map(str, evaluation.seeds))}" if results.several else ""


def _result_rows(results: Sequence[MethodResults]) -> Iterator[Row]:
    """Every measure; the accuracy after a single attack has no interval, and neither has the cost of training."""
    for _, where, run in _all_runs(results):
        for name, measure in run.evaluation.measures.items():
            threat = (measure.norm, measure.eps) if isinstance(measure, Attacked) else (None, None)
            yield (*where, name, *threat, *measure.triple, measure.n)
        for name, points in run.evaluation.curve.items():
            yield from ((*where, f"curve.{name}", p.norm, p.eps, *p.triple, p.n) for p in points)
        for name, attacked in run.evaluation.autoattack.items():
            for attack, value in attacked.attacks.items():
                threat = (attacked.norm, attacked.eps)
                yield (*where, f"autoattack.{name}.{attack}", *threat, value, None, None, attacked.n)
        if run.evaluation.training_forwards is not None:
            yield (*where, "training_forwards", None, None, run.evaluation.training_forwards, None, None, None)


def _columns(results: Sequence[MethodResults]) -> list[str]:
    return list(dict.fromkeys(name for r in results for name in r.methods[0].first.measures))


def _cell_rows(results: Sequence[MethodResults], columns: Sequence[str]) -> Iterator[Row]:
    for cell, where, run in _all_runs(results):
        measures = run.evaluation.measures
        values = (measures[name].value if name in measures else None for name in columns)
        yield (cell, *where, *values, run.evaluation.training_forwards)


def _lambda_rows(results: Sequence[MethodResults], columns: Sequence[str]) -> Iterator[Row]:
    """Figure 5's numbers, a curve for each pair of seeds; vanilla, which reads no targets, begins all of its seed's."""
    for r in results:
        curve = r.by_lambda
        for last in curve[-1][1].evaluations if curve else ():
            seeds = last.training_seed, last.targets_seed
            for lambda_, method in curve:
                yield from _lambda_row(r, method, lambda_, seeds, _of_seeds(r, last), columns)


def _lambda_row(
    results: MethodResults,
    method: MethodResult,
    lambda_: float,
    seeds: tuple[int | None, int | None],
    suffix: str,
    columns: Sequence[str],
) -> Iterator[Row]:
    place = (
        f"{results.dataset} {results.architecture}{suffix}",
        results.dataset,
        results.architecture,
        *seeds,
        lambda_,
    )
    for evaluation in method.evaluations:
        if (evaluation.training_seed, evaluation.targets_seed) in (seeds, (seeds[0], None)):
            measures = evaluation.measures
            triples = [measures[name].triple if name in measures else (None, None, None) for name in columns]
            yield (*place, *(value for triple in triples for value in triple))


def _curve_rows(results: Sequence[MethodResults], columns: Sequence[str]) -> Iterator[Row]:
    for cell, where, run in _all_runs(results):
        for i in range(len(run.curves.get("epoch", ()))):
            yield (cell, *where, *(run.curves[n][i] if n in run.curves else None for n in columns))


def _write_run() -> None:
    """Puts beside the page what varies from one run to the next: when, where and in what time; it is no output of the stage."""
    times = [{"stage": stage, "seconds": value} for stage, value in read_times().items()]
    _write(
        REPORT / "run.js", f"window.PAG_RUN = {json_text({'settings': circumstances(), 'times': times}, indent=1)};\n"
    )
