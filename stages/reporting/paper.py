"""The paper's tables and figures as data: the typed reading of `stages/paper.yaml`, and the commands that make each of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from pag.base.errors import InputError
from stages.params.grid import GridParams
from stages.params.section import Positive, Section

__all__ = ["Block", "PaperEntry", "Row", "commands", "read_paper"]

PAPER = Path(__file__).with_name("paper.yaml")
TOY = "toy"

Dataset = Literal["cifar10", "cifar100", "stl10", "tiny_imagenet", "toy"]
Architecture = Literal["resnet18", "vit", "vgg11", "vgg13", "vgg16", "mlp_mixer", "wide_resnet34_10", "mlp"]
Baseline = Literal["vanilla", "at_l2", "at_linf", "trades"]
Heuristic = Literal["one_image", "class_mean", "nearest_neighbor"]
Combined = Literal["at_l2+score_based", "trades+score_based"]
Method = Baseline | Heuristic | Literal["score_based"] | Combined
Measure = Annotated[str, Field(pattern=r"^(clean|(autoattack|foolbox|pgd)\.[a-z0-9_]+)$")]
Accuracy = Annotated[float, Field(ge=0, le=1)]
Lambda = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_BASELINES: tuple[str, ...] = ("vanilla", "at_l2", "at_linf", "trades")
_HEURISTICS: tuple[str, ...] = ("one_image", "class_mean", "nearest_neighbor")


class Row(Section):
    """A method with what the paper prints of it.

    Attributes:
        method: how the classifier was trained.
        lambda_: in a table of λ the number printed; elsewhere set for the cells of figure 5's sweep alone, where 0 is vanilla.
        values: accuracies, by the dotted name of the measure in `metrics.json`; empty where a figure prints no numbers.
    """

    method: Method
    lambda_: Lambda | None = Field(None, alias="lambda")
    values: dict[Measure, Accuracy] = Field(default_factory=dict)


class Block(Section):
    """The rows of one data set and architecture, and the ε of their measures; one that is printed without ε has none."""

    dataset: Dataset
    architecture: Architecture
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


@cache
def read_paper(path: Path = PAPER) -> tuple[PaperEntry, ...]:
    """Reads the paper's tables and figures.

    Raises:
        InputError: the file is not YAML, or an entry has an unknown key, a name outside the vocabulary or a number out of range.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return tuple(TypeAdapter(list[PaperEntry]).validate_python(raw, strict=True))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path.name} cannot be read: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}.") from None


def commands(entry: PaperEntry) -> list[str]:
    """What makes a table or figure, generated from its rows: a command for each grid of data sets, architectures and methods.

    Blocks of the same methods share a grid where that adds no cell. Every list of the grid is given, so that a command does not
    depend on what params.yaml has there. A drawing takes none.
    """
    if entry.ratios:
        sizes = sorted({ratio.batch_size for ratio in entry.ratios})
        return [f"python benchmarks/runtime.py --batch-sizes {','.join(map(str, sizes))}"]
    if entry.toy:
        return ["dvc repro evaluate_toy"]
    swept = entry.kind != "lambda"
    return [
        _command({"datasets": datasets, "architectures": architectures} | methods)
        for datasets, architectures, methods in _grids(entry.blocks, swept)
    ]


def _grids(blocks: Sequence[Block], swept: bool) -> list[tuple[list[str], list[str], dict[str, list[str]]]]:
    """The blocks as products: first the architectures of each data set, then the data sets of the same architectures."""
    by_dataset: dict[tuple[str, str], tuple[dict[str, list[str]], list[str]]] = {}
    for block in blocks:
        methods = _methods(block.rows, swept)
        by_dataset.setdefault((str(methods), block.dataset), (methods, []))[1].append(block.architecture)
    grids: dict[str, tuple[list[str], list[str], dict[str, list[str]]]] = {}
    for (_, dataset), (methods, architectures) in by_dataset.items():
        grids.setdefault(f"{methods} {architectures}", ([], architectures, methods))[0].append(dataset)
    return list(grids.values())


def _methods(rows: Sequence[Row], swept: bool) -> dict[str, list[str]]:
    """The lists of `grid` by kind of method; at λ = 0 the sweep of figure 5 is vanilla."""
    lambdas = [row.lambda_ for row in rows if swept and row.lambda_ is not None]
    names: list[str] = [row.method for row in rows if not swept or row.lambda_ is None]
    names += ["vanilla"] * (0.0 in lambdas)
    combined = [name for name in names if "+" in name]
    return {
        "baselines": [name for name in names if name in _BASELINES],
        "heuristics": [name for name in names if name in _HEURISTICS],
        "aligned": [name for name in names if name not in _BASELINES and name not in combined],
        "combined.bases": [name.partition("+")[0] for name in combined],
        "combined.targets": list(dict.fromkeys(name.partition("+")[2] for name in combined)),
        "lambdas": [str(value) for value in lambdas if value > 0],
    }


def _command(grid: Mapping[str, Sequence[str]]) -> str:
    """`dvc exp run` with the lists of the grid; one that params.yaml does not have is left out while it is empty."""
    known = GridParams.model_fields
    lists = {name: values for name, values in grid.items() if values or name.partition(".")[0] in known}
    return " ".join(["dvc exp run", *(f"-S 'grid.{name}=[{','.join(values)}]'" for name, values in lists.items())])
