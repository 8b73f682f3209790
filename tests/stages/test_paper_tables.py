"""Laws of the comparison with the paper: what is subtracted from what, under which ε, and what is told of cells without results."""

import json
import subprocess
from pathlib import Path

import artifacts
import pytest

from pag.base.errors import InputError
from pag.base.json_files import write_json
from pag.evaluation.metrics import Attacked, AutoAttacked, Estimate, Metrics
from pag.page.html import render_html
from pag.page.markdown import render_markdown
from pag.page.report import Column, Entry, Report, Section, Table
from stages.commands import keep
from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.paths import Cell, grid_cells, sweep_cells
from stages.reporting import paper_tables
from stages.reporting.evaluated import evaluated
from stages.reporting.methods import by_method
from stages.reporting.paper import read_paper
from stages.reporting.paper_tables import agree, kept_tables, paper_sections
from stages.reporting.results import CellResult, GridResults
from stages.reporting.sources import Source, read_kept, todays

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
PAPER = read_paper()
ENTRIES = {entry.name: entry for entry in PAPER.entries}
RN18 = ("cifar10", "resnet18")
L2, LINF = "autoattack.l2", "autoattack.linf"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def metrics(cell, lambda_=None, l2_eps=0.5, **values):
    """`metrics.json` of an evaluation at the paper's ε, or with another in L2."""
    robust = (values.get("l2", 0.5), values.get("linf", 0.2))
    made = artifacts.evaluation_metrics(cell, artifacts.METHODS[cell.method], lambda_, *robust, 0.3, clean=0.8)
    made["autoattack"]["l2"]["eps"] = l2_eps
    return made


def results_of(methods, lambdas=(), where=RN18, **options):
    """Gathered results of methods and of the sweep."""

    def cell(name, method, lambda_):
        made = metrics(Cell(*where, method, artifacts.SEED), lambda_, **options)
        return CellResult(
            name=name, evaluation=Metrics.model_validate(made), validation={}, target_probability=1.0, curves={},
            outcomes=artifacts.gathered_outcomes(made),
        )  # fmt: skip

    cells = tuple(cell(method, method, 1.5 if method == "score_based" else None) for method in methods)
    sweep = tuple(cell(f"score_based-lambda-{x}", "score_based", x) for x in lambdas)
    return by_method(GridResults(dataset=where[0], architecture=where[1], cells=cells, sweep=sweep))


def comparison_table(entry, sources):
    return paper_tables.comparison_table(PAPER, entry, sources)


def source(*cells):
    return Source("this run", "", evaluated(cells))


def found(method, measures, where=RN18):
    """The evaluation of a method with measures by their dotted names."""
    by_kind = {"autoattack": {}, "foolbox": {}}
    for name, measure in measures.items():
        kind, _, key = name.partition(".")
        if key:
            by_kind[kind][key] = measure
    clean = measures.get("clean", measured(0.8))
    return Metrics(
        dataset=where[0], architecture=where[1], method=artifacts.METHODS[method], lambda_=None, seed=0,
        clean=clean, alignment=None, **by_kind,
    )  # fmt: skip


def measured(value, eps=None):
    estimate = {"value": value, "interval": (value - 0.01, value + 0.01), "n": 1000}
    return Estimate(**estimate) if eps is None else AutoAttacked(**estimate, norm="l2", eps=eps, attacks={})


def told(table, *first):
    """The texts of the one row with this method and these details."""
    rows = [row for row in table.rows if (row[0].text, *row[0].detail.split(", ")) == first]
    assert len(rows) == 1
    return [entry.text for entry in rows[0][1:]]


def test_difference_is_ours_less_the_papers_in_points():
    ours = {"clean": measured(0.80), L2: measured(0.5739, 0.5), LINF: measured(0.23966, 8 / 255)}
    table = comparison_table(ENTRIES["Table 1"], [source(found("score_based", ours))])
    assert told(table, "SBG", *RN18) == ["80.0%", "78.56%", "+1.4", "57.4%", "55.39%", "+2.0", "24.0%", "23.97%", "0.0"]
    row = next(row for row in table.rows if row[1].detail)
    assert row[4].detail == "[56.4, 58.4]\nn = 1000"
    lower = comparison_table(ENTRIES["Table 1"], [source(found("score_based", ours | {L2: measured(0.5, 0.5)}))])
    assert told(lower, "SBG", *RN18)[5] == "−5.4"


def test_cell_without_results_shows_the_papers_number_alone():
    table = comparison_table(ENTRIES["Table 1"], [source(found("score_based", {"clean": measured(0.8)}))])
    assert len(table.rows) == 14
    assert told(table, "AT L₂", "cifar10", "vit") == ["–", "72.81%", "–", "–", "42.99%", "–", "–", "8.13%", "–"]
    assert told(table, "SBG", *RN18) == ["80.0%", "78.56%", "+1.4", "–", "55.39%", "–", "–", "23.97%", "–"]


def test_other_eps_is_told_and_not_subtracted():
    ours = {"clean": measured(0.8), L2: measured(0.6, 0.9), LINF: measured(0.2, 0.0313)}
    table = comparison_table(ENTRIES["Table 1"], [source(found("vanilla", ours))])
    assert told(table, "Vanilla", *RN18)[3:] == ["60.0%", "0.00%", "–", "20.0%", "0.00%", "+20.0"]
    row = table.rows[0]
    assert row[4].detail.endswith("\nε = 0.9")
    assert "ε" not in row[7].detail
    assert [column.detail for column in table.columns[4:9:3]] == ["ours", "ours"]
    assert [column.detail for column in table.columns[5:9:3]] == ["paper\nε = 0.5", "paper\nε = 8/255"]


def test_eps_agree_to_one_percent_or_are_both_missing():
    assert agree(8 / 255, 0.0314)
    assert agree(0.5, 0.5)
    assert agree(0.5049, 0.5)
    assert not agree(0.5051, 0.5)
    assert not agree(0.494, 0.5)
    assert agree(None, None)
    assert not agree(0.5, None)
    assert not agree(None, 0.5)


def test_eps_by_data_set_stands_with_each_number():
    stl = ("stl10", "resnet18")
    ours = {LINF: measured(0.3, 4 / 255)}
    table = comparison_table(ENTRIES["Table 2"], [source(found("at_linf", ours, where=stl))])
    entry = next(row for row in table.rows if row[0].text == "AT L∞" and row[0].detail.startswith("stl10"))
    assert [part.text for part in entry[7:]] == ["30.0%", "28.30%", "+1.7"]
    assert entry[8].detail == "ε = 4/255"
    assert table.columns[8].detail == "paper"
    other = next(row for row in table.rows if row[0].detail.startswith("cifar100"))
    assert other[8].detail == "ε = 8/255"


def test_table_of_many_attacks_has_a_row_for_each():
    interval = {"interval": (0.4, 0.6), "n": 50}
    ours = {"foolbox.ead": Attacked(value=0.4364, norm="l1", eps=2.0, **interval)}
    table = comparison_table(ENTRIES["Table 6"], [source(found("score_based", ours))])
    assert len(table.rows) == 14
    assert told(table, "EAD", "SBG", *RN18) == ["43.6%", "33.64%", "–"]
    assert told(table, "L0 FMN", "SBG", *RN18) == ["–", "40.96%", "–"]
    assert told(table, "Gaussian blur", "AT L₂", *RN18) == ["–", "28.03%", "–"]


def test_sweep_is_found_by_lambda_beside_vanilla():
    grid = todays([results_of(["vanilla", "score_based"], lambdas=[0.1, 2.0])])
    table = comparison_table(ENTRIES["Figure 5"], [grid])
    assert told(table, "Vanilla", *RN18)[:2] == ["50.0%", "0.00%"]
    assert told(table, "SBG, λ = 0.1", *RN18)[:2] == ["50.0%", "22.53%"]
    assert told(table, "SBG, λ = 0.5", *RN18)[:2] == ["–", "48.34%"]
    assert grid.cell(*RN18, "score_based").lambda_ == 1.5
    assert todays([results_of(["vanilla"], lambdas=[2.0])]).cell(*RN18, "score_based") is None


def test_lambda_table_has_ours_beside_the_papers():
    table = comparison_table(ENTRIES["Table 8"], [todays([results_of(["vanilla", "score_based"])])])
    assert told(table, "SBG", *RN18) == ["1.5", "1.5"]
    assert told(table, "SBG", "cifar10", "vit") == ["–", "3"]
    assert told(table, "OI", *RN18) == ["–", "0.2"]


def test_digits_run_only_lists_what_was_not_run():
    sections = paper_sections([results_of(["vanilla", "score_based"], [0.1], where=("digits", "resnet8"))])
    assert len(sections) == 1
    by_name = {name.text: (shows.text, to_run) for name, shows, to_run in sections[0].tables[0].rows}
    assert list(by_name) == [name for name in ENTRIES if name != "Figure 4"]
    assert by_name["Table 1"][1].commands == tuple(PAPER.commands(ENTRIES["Table 1"]))
    assert by_name["Figure 3"][1] == Entry("nothing to run")
    assert by_name["Appendix H"][0].endswith(": 2.13 against PGD-7, 6.14 against PGD-20")


def test_what_was_run_is_compared_and_no_longer_listed():
    comparison, missing = paper_sections([results_of(["vanilla", "at_l2"])])
    compared = [table.caption.split("'s ")[1].split(" (")[0] for table in comparison.tables]
    assert compared == ["Table 1", "Table 4", "Figure 1", "Figure 5"]
    names = {name.text for name, _, _ in missing.tables[0].rows}
    assert names.isdisjoint({*compared, "Figure 2", "Figure 9"})
    assert {"Table 2", "Table 3", "Table 5", "Table 6", "Table 8", "Figure 10", "Figure 11"} <= names
    assert [column.name for column in comparison.tables[0].columns].count("Run") == 0


KEPT = {"hardware": "1 × made-up GPU", "commit": "0123456789", "times": {"train": 5400.0}, "params": {"seed": 1}}


def test_kept_run_stands_beside_todays_with_its_hardware(tmp_path):
    there = metrics(Cell(*RN18, "at_l2", artifacts.SEED), l2=0.6082) | {
        "foolbox": {"ead": {**artifacts.measure(0.1, 50), "norm": "l1", "eps": 2.0}}
    }
    swept = metrics(Cell(*RN18, "score_based", artifacts.SEED), 2.0)
    write_json(tmp_path / "results" / "far.json", KEPT | {"cells": [there], "sweep": [swept]})
    comparison, missing = paper_sections([results_of(["vanilla", "at_l2"])])
    assert "“far” was measured on 1 × made-up GPU, 1.5 hours of compute, commit 0123456." in comparison.paragraphs[1]
    by_name = {table.caption.split("'s ")[1].split(" (")[0]: table for table in comparison.tables}
    lines = [row for row in by_name["Table 1"].rows if (row[0].text, row[0].detail) == ("AT L₂", ", ".join(RN18))]
    assert [(row[1].text, row[5].text, row[7].text) for row in lines] == [
        ("this run", "50.0%", "−10.8"),
        ("far", "60.8%", "0.0"),
    ]
    assert told(by_name["Table 6"], "EAD", "AT L₂", *RN18) == ["far", "10.0%", "8.57%", "–"]
    assert told(by_name["Figure 5"], "SBG, λ = 2", *RN18)[0] == "far"
    assert "Table 6" in {name.text for name, _, _ in missing.tables[0].rows}


CELL = metrics(Cell(*RN18, "vanilla", artifacts.SEED))
BROKEN = {
    "gpu": (KEPT | {"cells": [CELL], "gpu": 1}, "gpu: extra inputs"),
    "hardware": ({key: value for key, value in KEPT.items() if key != "hardware"} | {"cells": [CELL]}, "hardware: field required"),
    "commit": (KEPT | {"commit": "main", "cells": [CELL]}, "commit: string should match"),
    "times": (KEPT | {"times": {"train": -1.0}, "cells": [CELL]}, r"times\.train"),
    "twice": (KEPT | {"cells": [CELL, CELL]}, "cells has cifar10/resnet18/vanilla/3407 twice"),
    "nothing": (KEPT | {"cells": [{k: v for k, v in CELL.items() if k != "clean"}]}, "cells.0.clean: field required"),
    "old": (KEPT | {"cells": [CELL | {"method": "vanilla"}]}, "cells.0.method: input should be"),
    "interval": (KEPT | {"cells": [CELL | {"clean": {"value": 1.0, "interval": [0.9], "n": 3}}]}, r"clean\.interval"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BROKEN)
def test_kept_run_with_a_mistake_is_told_by_file_and_key(mistake, tmp_path):
    content, sentence = BROKEN[mistake]
    write_json(tmp_path / "results" / "far.json", content)
    with pytest.raises(InputError, match=sentence) as error:
        read_kept()
    assert str(error.value).startswith("results/far.json: ")
    assert "\n" not in str(error.value)


def test_kept_file_holds_what_was_measured():
    """`keep` writes a file that is read back as a source with every cell and measure of the grid."""
    params = Params(PARAMS_FILE)
    grid = ("digits", "resnet8")
    artifacts.write_all(params, *grid)
    for command in (["init"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-m", "state"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    keep.run(params, "here", "a made-up machine")
    (kept,) = read_kept()
    assert kept.name == "here"
    for cell in grid_cells(params, *grid):
        found = kept.cell(*grid, cell.method)
        raw = json.loads((cell.evaluation / "metrics.json").read_text(encoding="utf-8"))
        assert found is not None
        assert found.evaluations == (Metrics.model_validate(raw),)
        assert set(found.measures) == {"clean", L2, LINF, "alignment"}
    assert [kept.cell(*grid, "score_based", c.lambda_).lambda_ for c in sweep_cells(params, *grid)] == read_grid(
        params
    ).lambdas
    with pytest.raises(InputError, match="--name takes"):
        keep.run(params, "../here", "a made-up machine")


def test_kept_cells_that_the_paper_does_not_have_are_shown_too():
    Path("results").mkdir()
    elsewhere = [Cell("photos", "resnet8", method, artifacts.SEED) for method in ("vanilla", "one_image_own_class")]
    cells = [metrics(cell, 0.5 if cell.method != "vanilla" else None, l2=0.25) for cell in elsewhere]
    papers = metrics(Cell(*RN18, "vanilla", artifacts.SEED))
    times, parameters = {"prepare": 60.0}, {"seed": 0}
    kept = {"hardware": "2 cores", "commit": "a" * 40, "times": times, "params": parameters, "cells": [*cells, papers]}
    write_json(Path("results/small.json"), kept)
    section = next(
        s for s in paper_sections([results_of(["vanilla"], where=("digits", "resnet8"))]) if "kept" in s.title
    )
    (table,) = section.tables
    assert "photos, resnet8" in table.caption
    assert [row[0].text for row in table.rows] == ["Vanilla", "OI (own class)"]
    assert [row[0].detail for row in table.rows] == ["", "λ = 0.5"]
    column = [head.name for head in table.columns].index("AA L₂")
    assert table.rows[0][column].text == "25.0%"
    assert table.columns[column].detail == "ε = 0.5\nn = 120"


def test_commands_are_folded_on_the_page_and_plain_in_markdown():
    row = (Entry("Table <1>"), Entry("", commands=("dvc exp run -S 'grid.datasets=[cifar10]'",)))
    report = Report("t", (), (Section("Not run", (), (Table("c", (Column("a"), Column("b")), (row,)),)),))
    page, text = render_html(report), render_markdown(report)
    command = "<code>dvc exp run -S &#39;grid.datasets=[cifar10]&#39;</code>"
    assert f"<details><summary>command</summary>{command}</details>" in page
    assert "| Table \\<1\\> | `dvc exp run -S 'grid.datasets=[cifar10]'` |" in text


def test_a_difference_has_the_interval_of_ours():
    """The printed number is taken as exact."""
    comparison, _ = paper_sections([results_of(["vanilla", "at_l2"])])
    ours, paper, difference = comparison.tables[0].rows[0][1:4]
    ends = [float(end) for end in ours.detail.splitlines()[0].strip("[]").split(", ")]
    shifted = [float(end.replace("−", "-")) for end in difference.detail.strip("[]").split(", ")]
    printed = float(paper.text.strip("%"))
    assert shifted == pytest.approx([end - printed for end in ends], abs=0.11)


def test_runs_of_a_kept_method_are_one_row_of_mean_and_deviation(tmp_path):
    runs = [metrics(Cell(*RN18, "vanilla", seed), l2=value) for seed, value in ((1, 0.2), (2, 0.3), (3, 0.4))]
    dear = [metrics(Cell(*RN18, "at_l2", seed), l2=0.5) | {"training_forwards": 1.7e6} for seed in (1, 2, 3)]
    cells = [*(run | {"training_forwards": 3e5} for run in runs), *dear]
    write_json(tmp_path / "far.json", KEPT | {"cells": cells})
    (kept,) = read_kept(tmp_path)
    (table,) = kept_tables(kept, kept.cells)
    assert "mean ± standard deviation over 3 runs; measured on 1 × made-up GPU" in table.caption
    assert [entry.text for entry in table.rows[0]][2] == "30.0% ± 10.0"
    assert [row[-1].text for row in table.rows] == ["1.0×", "5.7×"]
    assert len(table.rows) == 2
    compared = comparison_table(ENTRIES["Table 1"], [kept])
    assert told(compared, "Vanilla", *RN18)[3] == "30.0% ± 10.0"


def test_a_kept_run_of_few_classes_is_not_called_autoattack(tmp_path):
    cell = metrics(Cell(*RN18, "vanilla", artifacts.SEED))
    cell["autoattack"]["l2"]["attacks"] = {"apgd-dlr": 0.5}
    write_json(tmp_path / "far.json", KEPT | {"cells": [cell]})
    (kept,) = read_kept(tmp_path)
    (table,) = kept_tables(kept, kept.cells)
    assert [column.name for column in table.columns[1:4]] == ["Clean", "Substitute L₂", "AA L∞"]
