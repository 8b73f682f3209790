"""The paper's tables and figures as data: the typed reading of `stages/paper.yaml`, and the commands that make each of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from pag.base.errors import InputError
from stages.params.grid import GridParams
from stages.params.section import Name, Positive, Section

__all__ = ["Block", "Paper", "PaperEntry", "Row", "read_paper"]

PAPER = Path(__file__).with_name("paper.yaml")
TOY, TOY_MEASURE = "toy", "pgd.l2"
GridLists = dict[str, list[str]]

Measure = Annotated[str, Field(pattern=r"^(clean|(autoattack|foolbox|pgd)\.[a-z0-9_]+)$")]
Accuracy = Annotated[float, Field(ge=0, le=1)]
Lambda = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PaperMethod(Section):
    """A method of the paper's rows.

    Attributes:
        label: what the paper calls it.
        grid: the list of `grid` that it stands in.
        base, targets: the two entries of `grid.combined` that make a combined one.
    """

    label: str
    grid: Literal["baselines", "heuristics", "aligned", "combined"]
    base: Name | None = None
    targets: Name | None = None

    @model_validator(mode="after")
    def _combined_has_two_parts(self) -> Self:
        if [self.base is not None, self.targets is not None] != 2 * [self.grid == "combined"]:
            raise ValueError("base and targets are for grid: combined, which needs both")
        return self


class Row(Section):
    """A method with what the paper prints of it.

    Attributes:
        method: how the classifier was trained, a key of `methods`.
        lambda_: in a table of λ the number printed; elsewhere set for the cells of figure 5's sweep alone.
        values: accuracies, by the dotted name of the measure in `metrics.json`; empty where a figure prints no numbers.
    """

    method: Name
    lambda_: Lambda | None = Field(None, alias="lambda")
    values: dict[Measure, Accuracy] = Field(default_factory=dict)


class Block(Section):
    """The rows of one data set and architecture, and the ε of their measures; one that is printed without ε has none."""

    dataset: Name
    architecture: Name
    eps: dict[Measure, Positive] = Field(default_factory=dict)
    rows: Annotated[list[Row], Field(min_length=1)]

    @model_validator(mode="after")
    def _eps_is_of_a_measure(self) -> Self:
        measured = {name for row in self.rows for name in row.values}
        if not measured.issuperset(self.eps):
            raise ValueError(f"eps names a measure that no row has (rows have {', '.join(sorted(measured))})")
        return self


class Ratio(Section):
    """How many times longer a step of adversarial training took than one of the alignment objective (appendix H)."""

    attack_steps: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]
    ratio: Positive


class PaperEntry(Section):
    """A table or a figure of the paper.

    Attributes:
        name: its number: `Table 1`.
        section: where it stands.
        kind: what it holds.
        caption: what it shows.
        note: where the paper is silent or does not agree with itself; empty where there is nothing to say.
        blocks: the classifiers that it takes; empty for a drawing.
        ratios: of runtimes.
    """

    name: str
    section: str
    kind: Literal["accuracy", "lambda", "figure", "runtime"]
    caption: str
    note: str = ""
    blocks: list[Block] = Field(default_factory=list)
    ratios: list[Ratio] = Field(default_factory=list)

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        kind = "section" if self.section[0].isdigit() else "appendix"
        return f"{kind} {self.section}"

    @property
    def rows(self) -> Iterator[tuple[Block, Row]]:
        """Every row, with its block."""
        return ((block, row) for block in self.blocks for row in block.rows)

    @property
    def measures(self) -> list[str]:
        """The measures that any row has, in the order of the paper's columns."""
        return list(dict.fromkeys(name for _, row in self.rows for name in row.values))

    @property
    def toy(self) -> bool:
        """Whether it is of the toy, which every run makes and shows in a section of its own."""
        return any(block.dataset == TOY for block in self.blocks)


class Paper(Section):
    """The whole file: the methods by their keys in params, and the tables and figures in the paper's order."""

    methods: dict[Name, PaperMethod]
    entries: list[PaperEntry]

    @model_validator(mode="after")
    def _methods_are_defined(self) -> Self:
        for entry in self.entries:
            unknown = next((row.method for _, row in entry.rows if row.method not in self.methods), None)
            if unknown:
                raise ValueError(f"a row of {entry.name} is of {unknown!r}, which methods does not define")
        return self

    @property
    def toy(self) -> dict[str, float]:
        """Accuracy of the toy's networks under attack, by method (section 5.1)."""
        rows = (row for entry in self.entries if entry.toy for _, row in entry.rows)
        return {row.method: row.values[TOY_MEASURE] for row in rows}

    def commands(self, entry: PaperEntry) -> list[str]:
        """What makes a table or figure, generated from its rows: one command a grid of data sets, architectures and methods.

        Blocks of the same methods share a grid where that adds no cell. Every list of the grid is given, so that a command does
        not depend on what params.yaml has there. A drawing takes none.
        """
        if entry.ratios:
            sizes = sorted({ratio.batch_size for ratio in entry.ratios})
            return [f"python benchmarks/runtime.py --batch-sizes {','.join(map(str, sizes))}"]
        if entry.toy:
            return ["dvc repro evaluate_toy"]
        swept = entry.kind != "lambda"
        blocks = [(block, self._grid_lists(block.rows, swept)) for block in entry.blocks]
        return [
            _command({"datasets": datasets, "architectures": architectures} | methods)
            for datasets, architectures, methods in _grids(blocks)
        ]

    def _grid_lists(self, rows: Sequence[Row], swept: bool) -> GridLists:
        """The lists of `grid` by kind of method; a heuristic is in two of them."""
        used = [(row.method, self.methods[row.method]) for row in rows if not swept or row.lambda_ is None]
        combined = [method for _, method in used if method.grid == "combined"]
        return {
            "baselines": [name for name, method in used if method.grid == "baselines"],
            "heuristics": [name for name, method in used if method.grid == "heuristics"],
            "teachers.methods": [],
            "aligned": [name for name, method in used if method.grid in ("heuristics", "aligned")],
            "aligned_margin.methods": [],
            "combined.bases": [str(method.base) for method in combined],
            "combined.targets": list(dict.fromkeys(str(method.targets) for method in combined)),
            "lambdas": [str(row.lambda_) for row in rows if swept and row.lambda_ is not None],
        }


@cache
def read_paper(path: Path = PAPER) -> Paper:
    """Reads the paper's methods, tables and figures.

    Raises:
        InputError: the file is not YAML, or an entry has an unknown key, an undefined method or a number out of range.
    """
    try:
        return Paper.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")), strict=True)
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path.name} cannot be read: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path.name}: {where + ': ' if where else ''}{message[0].lower()}{message[1:]}.") from None


def _grids(blocks: Sequence[tuple[Block, GridLists]]) -> list[tuple[list[str], list[str], GridLists]]:
    """The blocks as products: first the architectures of each data set, then the data sets of the same architectures."""
    by_dataset: dict[tuple[str, str], tuple[GridLists, list[str]]] = {}
    for block, methods in blocks:
        by_dataset.setdefault((str(methods), block.dataset), (methods, []))[1].append(block.architecture)
    grids: dict[str, tuple[list[str], list[str], GridLists]] = {}
    for (_, dataset), (methods, architectures) in by_dataset.items():
        grids.setdefault(f"{methods} {architectures}", ([], architectures, methods))[0].append(dataset)
    return list(grids.values())


def _command(grid: Mapping[str, Sequence[str]]) -> str:
    """`dvc exp run` with the lists of the grid; one that params.yaml does not have is left out while it is empty."""
    known = GridParams.model_fields
    lists = {name: values for name, values in grid.items() if values or name.partition(".")[0] in known}
    return " ".join(["dvc exp run", *(f"-S 'grid.{name}=[{','.join(values)}]'" for name, values in lists.items())])
