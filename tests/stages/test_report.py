"""Laws of the report: a page with nothing from outside, tables that keep their numbers, sentences that they bear out."""

import base64
import configparser
import csv
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import artifacts
import pytest
import yaml
from dvc_render.html import HTML

from pag.base.errors import InputError
from pag.page.html import render_html
from pag.page.markdown import render_markdown
from pag.page.report import (
    Answer,
    Chart,
    Column,
    Entry,
    Findings,
    Picture,
    PictureRow,
    Report,
    Run,
    Section,
    Table,
    Term,
)
from stages import plots_page, report, visualize
from stages.params.reading import Params
from stages.paths import REPORT, TIMES, DatasetPaths, grid_cells, sweep_cells
from stages.reporting.gallery import Gallery
from stages.reporting.methods import by_method
from stages.reporting.results import gather
from stages.run import read_times

GRID = ("digits", "resnet8")
PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
FOR_TESTS = [
    "params/digits.yaml:figures.images=2", "params/digits.yaml:evaluation.targeted.images=2",
    "grid.baselines=[vanilla,at_l2,at_linf]", "grid.aligned_margin.methods=[]", "grid.lambdas=[0.1,0.5,1.0]",
    "grid.aligned=[one_image,class_mean,nearest_neighbor,nearest_neighbor_own_class,score_based]",
]  # fmt: skip
NASTY = "<script>alert('&')</script>\" | `x` *y*"


@pytest.fixture(scope="module")
def params():
    return Params(PARAMS_FILE, FOR_TESTS)


@pytest.fixture(scope="module")
def made(params, tmp_path_factory):
    """A working directory with everything that the stages write, run once for all tests that only read."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        artifacts.write_all(params, *GRID)
        visualize.run(params, *GRID)
        report.run(params)
    return folder


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Links(HTMLParser):
    """Collects everything that a page refers to, and the alternative texts of its images."""

    def __init__(self):
        super().__init__()
        self.links, self.alts, self.tags = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                self.links.append(value)
            if tag == "img" and name == "alt":
                self.alts.append(value)


def parsed(page):
    links = Links()
    links.feed(page)
    return links


def test_page_refers_to_nothing_outside(made):
    page = (made / REPORT / "index.html").read_text(encoding="utf-8")
    links = parsed(page)
    outside = [link for link in links.links if not link.startswith(("data:", "#"))]
    assert outside == ["results.csv", "cells.csv", "lambda.csv", "curves.csv", "tables.md", "run.js"]
    assert re.search(r"https?:|url\(|@import|\sstyle=|\son\w+=", page) is None
    assert links.tags.count("img") == len(links.alts) > 10
    assert all(links.alts)
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page


def test_all_text_is_escaped():
    entry = Entry(NASTY, NASTY, True, commands=(NASTY,), note=NASTY)
    table = Table(NASTY, (Column(NASTY, NASTY),), ((entry,),))
    chart = Chart("<svg></svg>", NASTY, NASTY, table, NASTY)
    picture = Picture(NASTY, NASTY, (NASTY,), (PictureRow(NASTY, (b"", b""), (NASTY,)),), NASTY, (NASTY,), NASTY)
    section = Section(NASTY, (NASTY,), (table,), (picture,), (picture,), (chart,))
    answer = Answer(NASTY, NASTY, NASTY, picture, table, (Findings(NASTY, (NASTY,), NASTY),))
    run = Run(((NASTY, NASTY),), table, NASTY, ((NASTY, NASTY),))
    page = render_html(Report(NASTY, (answer,), (section,), run, (Term(NASTY, NASTY, NASTY, NASTY),)))
    assert "<script>alert" not in page
    assert parsed(page).tags.count("script") == 2
    assert parsed(page).alts == 3 * [f"{NASTY}, the input", f"{NASTY}, {NASTY} {NASTY}"]
    assert "alert" not in "".join(re.findall(r"<script>.*?</script>", page, re.DOTALL))


def test_words_of_the_glossary_lead_to_it_once_in_a_text():
    terms = (Term("NN", "nearest neighbour", "near"), Term("NN (own class)", "own", "of the own class"))
    answer = Answer("place", "NN (own class) beats NN, and NN loses to ANNA & NN.")
    page = render_html(Report("t", (answer,), glossary=terms))
    assert page.count('href="#term-nn"') == page.count('href="#term-nn-own-class"') == 1
    assert '<a class="term" href="#term-nn-own-class">NN (own class)</a> beats <a' in page
    assert "ANNA &amp; NN." in page
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(set(ids)) == len(ids)


def test_policy_allows_what_is_in_the_page_and_nothing_else():
    page = render_html(Report("t"))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src &#39;none&#39;;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert digest in policy
    assert not re.search(r' (style|on\w+)="', page)


def test_bytes_depend_on_the_inputs_alone(made, params, monkeypatch):
    monkeypatch.chdir(made)
    outputs = [
        REPORT / name for name in ("index.html", "tables.md", "results.csv", "cells.csv", "lambda.csv", "curves.csv")
    ]
    before = [path.read_bytes() for path in outputs]
    (REPORT / "run.js").unlink()
    report.run(params)
    assert [path.read_bytes() for path in outputs] == before
    assert not list(REPORT.glob(".*"))


def test_markdown_keeps_the_numbers():
    values = [0.0, 1 / 3, 0.55391, 1.0]
    rows = tuple((Entry(f"a|b{i}"), Entry(repr(v), "[0, 1]", i == 3)) for i, v in enumerate(values))
    text = render_markdown(
        Report("t", (), (Section("s", (), (Table("c", (Column("n"), Column("v", "ε\nn")), rows),)),))
    )
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert {len(row) for row in cells} == {2}
    assert [float(row[1].replace("*", "").split()[0]) for row in cells[2:]] == values
    assert "**1.0**" in cells[-1][1]


def test_tables_have_each_method_and_lambda(made):
    text = (made / REPORT / "tables.md").read_text(encoding="utf-8")
    for line in (
        "| Vanilla | **95.0%** \\[93.0, 97.0\\] | 5.0% \\[0.0, 10.0\\]",
        "| NN (own class) |",
        "| 0 |",
        "| 2 |",
        "| SBG | 2 |",
    ):
        assert line in text
    assert "ε = 8/255, n = 120" in text
    assert "| PGD L₂ | PGD L∞ | APGD-T L₂ |" in text
    assert "| Aligned (NN) | 100.0% ± 0.0 | 63.3% ±" in text
    assert "75.5%" in text


def test_results_have_each_cell(made, params):
    rows = rows_of(made / REPORT / "results.csv")
    wanted = {(cell.method, None) for cell in grid_cells(params, *GRID)} | {
        ("score_based", cell.lambda_) for cell in sweep_cells(params, *GRID)
    }
    found = {(row["method"], row["lambda"]) for row in rows}
    assert {method for method, _ in found} == {method for method, _ in wanted}
    assert {lambda_ for method, lambda_ in found if method == "score_based"} == {"0.1", "0.5", "1.0", "2.0"}
    curve = [row for row in rows if (row["method"], row["metric"]) == ("vanilla", "curve.l2")]
    assert [float(row["eps"]) for row in curve] == [0, 0.45, 0.9]
    assert [float(row["value"]) for row in curve] == pytest.approx([0.95, 0.5, 0.05])
    vanilla = {row["metric"]: row for row in rows if row["method"] == "vanilla"}
    assert float(vanilla["autoattack.l2"]["value"]) == 0.05
    assert float(vanilla["autoattack.l2.square"]["value"]) == 0.05
    assert vanilla["clean"]["n"] == "360"
    assert [float(row["lambda"]) for row in rows_of(made / REPORT / "lambda.csv")] == [0.0, 0.1, 0.5, 1.0, 2.0]


def test_results_without_curves_over_eps_have_no_chart_of_them(made, params, monkeypatch):
    monkeypatch.chdir(made)
    gathered = gather(params, *GRID)
    assert by_method(gathered).curves == ["l2", "linf"]
    first = gathered.cells[0]
    bare = first.model_copy(update={"evaluation": first.evaluation.model_copy(update={"curve": {}})})
    results = by_method(gathered.model_copy(update={"cells": (bare, *gathered.cells[1:])}))
    assert results.curves == []
    assert Gallery(params, results).security() == ()
    assert "security" not in dict(visualize._charts(params, DatasetPaths("digits"), results))


def test_copies_of_charts_are_whole_images(made):
    for path in (made / "data/figures/digits-resnet8").glob("*.svg"):
        assert ElementTree.fromstring(path.read_text(encoding="utf-8")).tag == "{http://www.w3.org/2000/svg}svg"
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert path.with_suffix(".json").exists()


@pytest.mark.parametrize("content", [b"", b"<svg ", b"<b></b>", b"<svg ></svg>x", b"\xff"])
def test_a_damaged_chart_is_told_by_name(made, params, monkeypatch, content):
    monkeypatch.chdir(made)
    for name in ("attacks.svg", "attacks.json"):
        path = Path("data/figures/digits-resnet8") / name
        whole = path.read_bytes()
        path.write_bytes(content)
        try:
            with pytest.raises(InputError, match=str(path.with_suffix(""))):
                report.run(params)
        finally:
            path.write_bytes(whole)


def test_plots_have_a_row_for_each_cell_and_a_column_for_each_measure(made, params):
    cells = rows_of(made / REPORT / "cells.csv")
    count = len([*grid_cells(params, *GRID), *sweep_cells(params, *GRID)])
    assert len({row["cell"] for row in cells}) == len(cells) == count
    assert cells[0]["cell"] == "digits resnet8 Vanilla"
    assert [float(cells[0][name]) for name in ("clean", "l2", "linf", "alignment")] == [0.95, 0.05, 0.02, 0.1]
    curves = rows_of(made / REPORT / "curves.csv")
    assert {row["cell"] for row in curves} == {row["cell"] for row in cells}
    assert {row["cell"] for row in curves} >= {"digits resnet8 AT L∞", "digits resnet8 SBG, λ = 0.1"}
    swept = [row for row in curves if row["cell"] == "digits resnet8 SBG, λ = 0.1"]
    assert [(float(row["epoch"]), float(row["cosine"])) for row in swept[:2]] == [(1, 1), (2, 0.5)]
    assert {row["cosine"] for row in curves if row["method"] == "vanilla"} == {""}


def test_plots_of_dvc_have_their_columns_and_templates(made):
    root = PARAMS_FILE.parent
    plots = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    for plot in plots:
        ((name, options),) = plot.items()
        assert (root / ".dvc" / "plots" / f"{options['template']}.json").exists(), name
        for axis in ("x", "y"):
            ((file, column),) = options[axis].items()
            rows = rows_of(made / file)
            assert {"cell", column} <= rows[0].keys(), name
            assert any(row[column] for row in rows), name


def test_page_of_plots_needs_no_network(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plots_page.run(params)
    configured = configparser.ConfigParser()
    configured.read(PARAMS_FILE.parent / ".dvc" / "config")
    template = (Path(".dvc") / configured["plots"]["html_template"]).as_posix().removeprefix(".dvc/../")
    page = (
        HTML(Path(template).read_text(encoding="utf-8")).with_scripts("<script src='far'>").with_element("plot").embed()
    )
    assert "src='far'" not in page
    assert "window.vegaEmbed=" in page
    assert parsed(page).links == []
    assert page.rstrip().endswith("<body>\nplot\n</body>\n</html>")


def test_other_attacks_have_a_table_and_a_large_eps_a_column(params, tmp_path, monkeypatch, made):
    monkeypatch.chdir(tmp_path)
    pgd = "params/digits.yaml:evaluation.pgd={steps: 20, restarts: 5, relative_step: 2.5}"
    few = Params(PARAMS_FILE, [*FOR_TESTS, *SMALL, pgd])
    artifacts.write_all(few, *GRID, extended=artifacts.with_other_attacks)
    visualize.run(few, *GRID)
    report.run(few)
    text = (REPORT / "tables.md").read_text(encoding="utf-8")
    for line in (
        "In the format of the paper's Tables 1 and 3",
        "| Method | Clean, n = 360 | AA L₂, ε = 0.9, n = 120 | AA L∞, ε = 8/255, n = 120 | AA L₂, ε = 1.5, n = 120 |",
        "In the format of the paper's Table 6",
        "| Attack | Vanilla | SBG | AT L₂ |",
        "| PGD, 20 steps, 5 starts L₂, ε = 1.5, n = 120 | 1.2% \\[0.0, 6.2\\] | 3.8% \\[0.0, 8.8\\] | **6.2%**",
        "| Gaussian blur L₂, ε = 2, n = 50 | 2.5% ",
        "| L₀-FMN L₀, ε = 9, n = 50 | 1.0% ",
        "robust accuracy in L₂ ε = 1.5",
    ):
        assert line in text
    rows = {row["metric"]: row for row in rows_of(REPORT / "results.csv") if row["method"] == "vanilla"}
    names = ("autoattack.l2_large", "autoattack.l2_large.square", "pgd.linf", "foolbox.gaussian_blur")
    assert [float(rows[name]["value"]) for name in names] == [0.025, 0.05, 0.01, 0.025]
    assert "In the format of the paper's Table 6" not in (made / REPORT / "tables.md").read_text(encoding="utf-8")


SEEDS = ["grid.seeds=[3407,1,2]", "grid.targets_seeds=[3407,5]"]
SMALL = [
    "grid.aligned=[score_based]", "grid.aligned_margin.methods=[]", "grid.heuristics=[]", "grid.lambdas=[0.5]",
    "grid.baselines=[vanilla,at_l2]",
]  # fmt: skip


@pytest.fixture(scope="module")
def with_seeds(tmp_path_factory):
    """A working directory as `made`, with three seeds of training and two of targets, and what training cost."""
    folder, params = tmp_path_factory.mktemp("seeds"), Params(PARAMS_FILE, [*FOR_TESTS, *SMALL, *SEEDS])
    costs = {"vanilla": 3e5, "score_based": 6e5, "at_l2": 1.7e6}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        priced = lambda metrics: metrics | {"training_forwards": costs[metrics["method"]["name"]]}  # noqa: E731
        artifacts.write_all(params, *GRID, extended=priced)
        visualize.run(params, *GRID)
        report.run(params)
    return folder


def test_runs_of_a_method_are_told_as_one(with_seeds):
    text = (with_seeds / REPORT / "tables.md").read_text(encoding="utf-8")
    for line in (
        "Mean ± standard deviation over 3 to 6 runs per method (training seeds 3407, 1, 2; target seeds 3407, 5)",
        "in brackets: 95% confidence interval of a single run.",
        "| Vanilla | **95.0% ± 0.0** \\[93.0, 97.0\\] | 7.5% ± 2.5 \\[2.5, 12.5\\] |",
        "| 1.0× 3e5 |",
        "| 5.7× 1.7e6 |",
        "| Method | minus Vanilla, L₂ | minus SBG, L₂ | minus Vanilla, L∞ | minus SBG, L∞ |",
        "On the Pareto front of robust accuracy in L₂ against training cost",
        "| λ | Clean, n = 360 |",
    ):
        assert line in text
    assert text.count("| SBG | ") >= 3
    page = (with_seeds / REPORT / "index.html").read_text(encoding="utf-8")
    assert 'data-stages="train@digits-resnet8-vanilla-3407 train@digits-resnet8-vanilla-1 ' in page
    assert "standard deviations between runs" in page


def test_numbers_have_a_row_for_each_run_and_plots_a_name(with_seeds):
    rows = rows_of(with_seeds / REPORT / "results.csv")
    clean = [
        (row["method"], row["lambda"], row["seed"], row["targets_seed"]) for row in rows if row["metric"] == "clean"
    ]
    assert len(set(clean)) == len(clean) == 3 + 6 + 3 + 6
    assert {row["value"] for row in rows if row["metric"] == "training_forwards" and row["method"] == "at_l2"} == {
        "1700000.0"
    }
    for name in ("cells.csv", "curves.csv", "lambda.csv"):
        table = rows_of(with_seeds / REPORT / name)
        seeds = {(row["cell"], row["seed"], row["targets_seed"]) for row in table}
        assert len({cell for cell, _, _ in seeds}) == len(seeds), name
    cells = [row["cell"] for row in rows_of(with_seeds / REPORT / "cells.csv")]
    assert {"digits resnet8 Vanilla, seed 1", "digits resnet8 SBG, seed 2-5"} <= set(cells)
    curves = rows_of(with_seeds / REPORT / "lambda.csv")
    assert [float(row["lambda"]) for row in curves] == [0.0, 0.5, 2.0] * 6


def test_what_is_not_the_papers_has_a_section_of_its_own(params, tmp_path, monkeypatch, made):
    """Adversarial training in a single step is such: the paper's has seven."""
    monkeypatch.chdir(tmp_path)
    few = Params(PARAMS_FILE, [*FOR_TESTS, *SMALL, "params/digits.yaml:methods.at_l2.steps=1"])
    artifacts.write_all(few, *GRID)
    visualize.run(few, *GRID)
    report.run(few)
    text, page = ((REPORT / name).read_text(encoding="utf-8") for name in ("tables.md", "index.html"))
    assert "| Adversarial training (AT L₂) |" in text
    assert page.count("Not in the paper.") == 1  # of all rows
    assert " is single-step adversarial training" in page
    assert "## Beyond the paper" not in (made / REPORT / "tables.md").read_text(encoding="utf-8")


def test_cost_is_drawn_where_it_is_known(with_seeds, made):
    assert (with_seeds / "data/figures/digits-resnet8/cost.png").exists()
    assert not (made / "data/figures/digits-resnet8/cost.png").exists()
    text = (made / REPORT / "tables.md").read_text(encoding="utf-8")
    assert "front" not in text
    assert "vanilla = 1" not in text


def test_outcomes_of_another_evaluation_are_refused(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = Params(PARAMS_FILE, [*FOR_TESTS, *SMALL])
    artifacts.write_all(few, *GRID)
    vanilla, other = list(grid_cells(few, *GRID))[:2]
    shutil.copy(other.evaluation / "outcomes.safetensors", vanilla.evaluation)
    with pytest.raises(
        InputError, match=r"3407.outcomes\.safetensors is not of the evaluation beside it: autoattack\.l2 differs"
    ):
        gather(few, *GRID)
    (vanilla.evaluation / "outcomes.safetensors").unlink()
    with pytest.raises(InputError, match=r"outcomes\.safetensors does not exist"):
        gather(few, *GRID)


def test_too_few_classes_are_not_called_autoattack(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = Params(PARAMS_FILE, [*FOR_TESTS, *SMALL])

    def substituted(metrics):
        attacked = {
            name: {**of, "attacks": {"apgd-dlr": of["value"], "square": of["value"]}}
            for name, of in metrics["autoattack"].items()
        }
        return metrics | {"autoattack": attacked}

    artifacts.write_all(few, *GRID, extended=substituted)
    visualize.run(few, *GRID)
    report.run(few)
    text = (REPORT / "tables.md").read_text(encoding="utf-8")
    assert "| Substitute L₂, ε = 0.9, n = 120 |" in text
    assert "AutoAttack needs four classes: APGD-DLR takes APGD-T's place." in text
    assert "| AA L₂" not in text
    assert "clean and under AutoAttack's substitute" in text


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1.0", "true", '"1"'])
def test_a_time_is_a_number_of_seconds(seconds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TIMES.parent.mkdir()
    TIMES.write_text(f'{{"stage": "train@a", "seconds": {seconds}}}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"times\.jsonl has a line that is no stage"):
        read_times()


def test_times_are_the_last_of_each_stage(made, params, monkeypatch):
    monkeypatch.chdir(made)
    report.run(params)
    script = (REPORT / "run.js").read_text(encoding="utf-8")
    run = json.loads(script.removeprefix("window.PAG_RUN = ").rstrip(";\n"))
    seconds = {entry["stage"]: entry["seconds"] for entry in run["times"]}
    assert len(seconds) == len(run["times"])
    assert [name for name, _ in run["settings"]] == ["Date", "Commit", "Machine"]
    assert (seconds["prepare@digits"], seconds["train@<b>"]) == (3.0, 2.5)


def test_figures_of_another_grid_are_refused(made, params, monkeypatch):
    monkeypatch.chdir(made)
    smaller = Params(PARAMS_FILE, [*FOR_TESTS, "grid.lambdas=[0.1]"])
    with pytest.raises(InputError, match=r"score_based-lambda-0\.5"):
        report.run(smaller)


def test_test_images_are_not_read(params, tmp_path, monkeypatch):
    """`visualize` works where the test set has been taken out of the store's folder."""
    monkeypatch.chdir(tmp_path)
    few = Params(
        PARAMS_FILE,
        [
            *FOR_TESTS,
            "grid.aligned_margin.methods=[]",
            "grid.aligned=[]",
            "grid.lambdas=[]",
            "grid.baselines=[vanilla,at_l2]",
        ],
    )
    artifacts.write_all(few, *GRID, channels=3, class_names=("airplane", "automobile", "bird", "cat"))
    shutil.rmtree(DatasetPaths("digits").images / "test" / "images" / "c")
    visualize.run(few, *GRID)
    report.run(few)
    assert "This grid cannot say" in (REPORT / "index.html").read_text(encoding="utf-8")


def test_a_cell_without_results_is_named(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"resnet8-vanilla.3407.targeted\.safetensors does not exist"):
        gather(params, *GRID)
    with pytest.raises(InputError, match=r"results\.json does not exist"):
        report.run(params)


def test_a_failed_check_is_shown_beside_the_number_that_it_spoils(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [
        "grid.aligned_margin.methods=[]",
        "grid.aligned=[score_based]",
        "grid.heuristics=[]",
        "grid.lambdas=[]",
        "grid.baselines=[vanilla]",
    ]
    few = Params(PARAMS_FILE, [*FOR_TESTS, *small])

    def with_checks(metrics):
        passed = metrics["method"]["name"] == "vanilla"
        return {
            **metrics,
            "sanity": {"black_box.linf": {"value": 0.0 if passed else 0.7, "bar": 0.01, "passed": passed}},
        }

    artifacts.write_all(few, *GRID, extended=with_checks)
    visualize.run(few, *GRID)
    report.run(few)
    text, page = ((REPORT / name).read_text(encoding="utf-8") for name in ("tables.md", "index.html"))
    robustness = next(
        line for line in text.splitlines() if line.startswith("| Score-based gradients (SBG), λ = 2 | **95.0%**")
    )
    assert "| 12.0% \\[7.0, 17.0\\] ✗ black\\_box.linf |" in robustness
    assert robustness.count("✗") == 1
    assert (
        "| Vanilla | **95.0%** \\[93.0, 97.0\\] | 5.0% \\[0.0, 10.0\\] | **2.0%**" in text
    )  # the best that is not in doubt
    assert (
        "| SBG | black\\_box.linf | share of examples that withstand the gradient attacks and fall to Square | 0.7 | 0.01 |"
        in text
    )
    assert "SBG does not count" in text
    assert '<td class="doubt">12.0%<small>[7.0, 17.0]</small><small>✗ black_box.linf</small></td>' in page
