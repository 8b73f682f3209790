"""Laws of the paper as data: every table and figure once, numbers that are fractions, commands that make its cells alone."""

import re
import shlex
from itertools import chain, product
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from pag.base.errors import InputError
from stages.params.grid import GridParams
from stages.params.methods import describe
from stages.params.reading import Params
from stages.reporting.paper import Block, PaperEntry, PaperMethod, read_paper

PAPER = read_paper()
ENTRIES = {entry.name: entry for entry in PAPER.entries}
DATASETS = {"cifar10", "cifar100", "stl10", "tiny_imagenet"}
ARCHITECTURES = {"resnet18", "vit", "vgg11", "vgg13", "vgg16", "mlp_mixer", "wide_resnet34_10"}
GRIDS = [entry for entry in ENTRIES.values() if entry.blocks and not entry.toy]


def test_methods_are_the_grids():
    """Each is called what params call it, in the list of `grid` that runs it."""
    params = Params(Path(__file__).parents[2] / "params.yaml", ["grid.datasets=[cifar10]"])
    for name, method in PAPER.methods.items():
        described = describe(params, "cifar10", name) if name in params.dataset("cifar10").content["methods"] else None
        assert described is None or described.label == method.label
        assert (method.grid == "combined") == (method.base is not None)


def number(name, dataset, architecture, method, measure, lambda_=None):
    wanted = (dataset, architecture, method, lambda_)
    found = [
        row.values[measure]
        for block, row in ENTRIES[name].rows
        if (block.dataset, block.architecture, row.method, row.lambda_) == wanted
    ]
    assert len(found) == 1
    return found[0]


def test_each_table_and_figure_is_there_once():
    names = [entry.name for entry in PAPER.entries]
    wanted = [f"Table {i}" for i in range(1, 9)] + [f"Figure {i}" for i in range(1, 13)] + ["Appendix H"]
    assert sorted(names) == sorted(wanted)


@pytest.mark.parametrize("entry", GRIDS, ids=lambda entry: entry.name)
def test_names_are_in_the_vocabulary_and_numbers_are_fractions(entry):
    rows = list(entry.rows)
    keys = [(block.dataset, block.architecture, row.method, row.lambda_) for block, row in rows]
    assert len(set(keys)) == len(keys)
    for block, row in rows:
        assert block.dataset in DATASETS
        assert block.architecture in ARCHITECTURES
        assert all(0 <= value <= 1 for value in row.values.values())
        assert all(round(value * 10_000) == pytest.approx(value * 10_000) for value in row.values.values())
        assert all(eps > 0 for eps in block.eps.values())
        assert "clean" not in block.eps
    if entry.kind == "accuracy":
        assert all(row.values.keys() == rows[0][1].values.keys() for _, row in rows)


def test_numbers_that_the_text_repeats():
    """Differences that sections 5 and 6 tell agree with the tables that they are taken from, in points."""
    l2, linf = "autoattack.l2", "autoattack.linf"

    def difference(name, cell, other, measure):
        return round(100 * (number(name, *cell, measure) - number(name, *other, measure)), 2)

    vit, stl, rn = ("cifar10", "vit"), ("stl10", "resnet18"), ("cifar10", "resnet18")
    wide = ("cifar10", "wide_resnet34_10")
    assert difference("Table 1", (*vit, "score_based"), (*vit, "at_l2"), "clean") == 12.94
    assert difference("Table 1", (*vit, "score_based"), (*vit, "at_l2"), l2) == 18.03
    assert difference("Table 2", (*stl, "score_based"), (*stl, "at_l2"), "clean") == 19.8
    assert difference("Table 2", (*stl, "score_based"), (*stl, "at_linf"), l2) == 19.63
    for method, cell, in_l2, in_linf in (("at_l2", rn, 0.91, 3.89), ("trades", wide, 5.25, 2.24)):
        both = (*cell, f"{method}_with_score_based")
        assert difference("Table 4", both, (*cell, method), l2) == in_l2
        assert difference("Table 4", both, (*cell, method), linf) == in_linf


def test_numbers_that_stand_twice_agree():
    for measure in ("autoattack.l2", "autoattack.linf"):
        for method in ("vanilla", "one_image", "class_mean", "nearest_neighbor", "score_based"):
            cell = ("cifar10", "resnet18", method, measure)
            assert number("Figure 1", *cell) == number("Table 1", *cell)
        assert number("Figure 5", "cifar10", "resnet18", "score_based", measure, 2.0) == number(
            "Table 1", "cifar10", "resnet18", "score_based", measure
        )
    for method in ("vanilla", "score_based", "at_linf", "at_l2"):
        cell = ("cifar10", "resnet18", method, "clean")
        assert number("Table 3", *cell) == number("Table 1", *cell)


def grid_of(command):
    """The lists of a command, as DVC's own parser of overrides reads them."""
    words = shlex.split(command)
    assert words[:3] == ["dvc", "exp", "run"]
    assert set(words[3::2]) == {"-S"}
    overrides = OverridesParser.create().parse_overrides(words[4::2])
    return {o.key_or_group.removeprefix("grid."): o.value() for o in overrides}


def cell_of(entry, row):
    """A row's method and, in the sweep of figure 5, its λ."""
    return (row.method, None if entry.kind == "lambda" else row.lambda_)


@pytest.mark.parametrize("entry", GRIDS, ids=lambda entry: entry.name)
def test_commands_make_the_cells_of_their_entry_and_no_others(entry):
    made = []
    for command in PAPER.commands(entry):
        grid = grid_of(command)
        assert {key.partition(".")[0] for key in grid} | {"combined"} == set(GridParams.model_fields) - {
            "seeds",
            "targets_seeds",
        }
        pairs = product(grid.get("combined.bases", []), grid.get("combined.targets", []))
        combined = ["_with_".join(pair) for pair in pairs]
        main = [(method, None) for method in chain(grid["baselines"], grid["aligned"], combined)]
        methods = main + [("score_based", lambda_) for lambda_ in grid["lambdas"]]
        made += list(product(grid["datasets"], grid["architectures"], methods))
        assert all(isinstance(value, float) for value in grid["lambdas"])
        assert set(grid["heuristics"]) == set(grid["aligned"]) - {"score_based"}
    assert len(made) == len(set(made))
    assert set(made) == {(block.dataset, block.architecture, cell_of(entry, row)) for block, row in entry.rows}


def test_blocks_of_the_same_methods_share_a_command():
    assert (
        len(PAPER.commands(ENTRIES["Table 1"]))
        == len(PAPER.commands(ENTRIES["Table 2"]))
        == len(PAPER.commands(ENTRIES["Table 5"]))
        == 1
    )
    assert "[stl10,cifar100]" in PAPER.commands(ENTRIES["Table 2"])[0]
    assert len(PAPER.commands(ENTRIES["Table 4"])) == 2


def test_commands_of_what_is_no_grid():
    assert PAPER.commands(ENTRIES["Figure 3"]) == []
    assert PAPER.commands(ENTRIES["Figure 4"]) == ["dvc repro evaluate_toy"]
    assert PAPER.commands(ENTRIES["Appendix H"]) == ["python benchmarks/runtime.py --batch-sizes 1"]


MISTAKES = {
    "method": ("score_base", "a row of Table 1 is of 'score_base', which methods does not define"),
    "values": ({"clean": 93.61}, r"values\.clean"),
    "clean": (0.5, r"rows\.0\.clean: extra inputs"),
    "lambda": (-1.0, "lambda"),
}


@pytest.mark.parametrize("key", MISTAKES)
def test_mistakes_in_the_file_are_told_by_their_key(key, tmp_path):
    value, told = MISTAKES[key]
    row = {"method": "vanilla", "values": {"clean": 0.9}} | {key: value}
    block = {"dataset": "cifar10", "architecture": "vit", "rows": [row]}
    entry = {"name": "Table 1", "section": "5", "kind": "accuracy", "caption": "c", "blocks": [block]}
    path = tmp_path / "paper.yaml"
    path.write_text(
        yaml.safe_dump({"methods": {"vanilla": {"label": "Vanilla", "grid": "baselines"}}, "entries": [entry]}),
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=told) as error:
        read_paper(path)
    assert re.match(r"paper\.yaml: (entries\.0\.|a row)", str(error.value))


def test_a_combined_method_has_two_parts():
    parts = {method.base for method in PAPER.methods.values() if method.grid == "combined"}
    assert parts == {"at_l2", "trades"}
    for wrong in (
        {"grid": "combined", "base": "at_l2"},
        {"grid": "aligned", "base": "at_l2", "targets": "score_based"},
    ):
        with pytest.raises(ValueError, match="grid: combined"):
            PaperMethod.model_validate({"label": "m", **wrong})


def test_toy_has_the_papers_two_numbers():
    assert PAPER.toy == {"vanilla": 0.0, "nearest_neighbor": 0.755}


def test_eps_of_a_measure_that_no_row_has_is_refused():
    block = {
        "dataset": "cifar10",
        "architecture": "vit",
        "eps": {"autoattack.l2": 0.5},
        "rows": [{"method": "vanilla"}],
    }
    with pytest.raises(ValueError, match="eps names a measure that no row has"):
        Block.model_validate(block)
    assert PaperEntry(name="Figure 3", section="4", kind="figure", caption="c").measures == []
