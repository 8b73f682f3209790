"""Sections `grid` and `lambda`: what `dvc repro` runs, and the weight of the alignment term in each classifier."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from stages.params.reading import Params
from stages.params.section import Name, NonNegative, Once, Section, Seed

__all__ = ["GridParams", "read_grid", "read_lambda"]

Names = Annotated[list[Name], Once]
Seeds = Annotated[list[Seed], Once, Field(min_length=1)]


def _with_decimal_point(value: object) -> object:
    """The paths in dvc.yaml spell λ as the file does, and those of a cell as Python does: `2.0`."""
    if isinstance(value, int):
        raise ValueError(f"write {value}.0")
    return value


class CombinedParams(Section):
    """Methods `<base>_with_<targets>`, every base with every store: `at_l2_with_score_based`."""

    bases: Names
    targets: Names

    @property
    def methods(self) -> dict[str, str]:
        """The store that each method reads."""
        return {f"{base}_with_{targets}": targets for base in self.bases for targets in self.targets}


class TeachersParams(Section):
    """Classifiers whose margin gradients are kept as targets `teacher_<method>`."""

    architecture: Name
    methods: Names


class GeneratedGridParams(Section):
    """Methods `<base>_with_generated`, of data sets whose diffusion models draw images: `at_l2_with_generated`.

    Attributes:
        datasets: of the grid's, for which images are drawn.
        baselines, aligned: the bases, without and with targets.
    """

    datasets: Names
    baselines: Names
    aligned: Names

    def methods_of(self, dataset: str) -> dict[str, str | None]:
        """The store that each method reads, if it reads one; none for other data sets."""
        if dataset not in self.datasets:
            return {}
        sources = {**dict.fromkeys(self.baselines), **{base: base for base in self.aligned}}
        return {f"{base}_with_generated": source for base, source in sources.items()}


class AlignedMarginParams(Section):
    """Methods of the aligned margin, which all read one store; it does not bear their name."""

    methods: Names
    targets: Name


class GridParams(Section):
    """What is run.

    Attributes:
        datasets, architectures: what the data sets are, and the networks.
        baselines, heuristics, teachers, aligned, aligned_margin, combined, generated, lambdas: by their keys in params.
        seeds: of training: each cell's weights, order of images and draws.
        targets_seeds: of the diffusion model and the target gradients, which are made once for each; each cell of a method that
            reads targets is trained with each. The first is that of what there is one of: the reference that alignment is measured
            against.
    """

    datasets: Annotated[Names, Field(min_length=1)]
    architectures: Annotated[Names, Field(min_length=1)]
    baselines: Names
    heuristics: Names
    teachers: TeachersParams
    aligned: Names
    aligned_margin: AlignedMarginParams
    combined: CombinedParams
    generated: GeneratedGridParams
    lambdas: Annotated[list[Annotated[NonNegative, BeforeValidator(_with_decimal_point)]], Once]
    seeds: Seeds
    targets_seeds: Seeds

    @model_validator(mode="after")
    def _something_is_trained(self) -> Self:
        if not any(True for _ in self.methods()):
            raise ValueError("it has no method: baselines, aligned, aligned_margin and combined are empty")
        return self

    @model_validator(mode="after")
    def _generated_are_of_the_grid(self) -> Self:
        for name in self.generated.datasets:
            if name not in self.datasets:
                raise ValueError(f"generated.datasets has {name!r}, which datasets does not have")
        return self

    def methods(self) -> Iterator[tuple[str, str, str | None]]:
        """Key of the grid, method, and the target store that dvc.yaml makes it depend on, for every method that is named."""
        yield from (("grid.baselines", method, None) for method in self.baselines)
        yield from (("grid.aligned", method, method) for method in self.aligned)
        yield from (
            ("grid.aligned_margin", method, self.aligned_margin.targets) for method in self.aligned_margin.methods
        )
        yield from (("grid.combined", method, targets) for method, targets in self.combined.methods.items())

    def generated_methods(self, dataset: str) -> Iterator[tuple[str, str, str | None]]:
        """The same of those that train with generated images of a data set."""
        yield from (("grid.generated", *method) for method in self.generated.methods_of(dataset).items())

    def seeds_of(self, reads_targets: bool) -> Iterator[tuple[int, int | None]]:
        """Seed of training and seed of targets, if it reads any, of each classifier of a method."""
        for seed in self.seeds:
            yield from ((seed, targets_seed) for targets_seed in (self.targets_seeds if reads_targets else [None]))


LAMBDA: TypeAdapter[float] = TypeAdapter(NonNegative)


def read_grid(params: Params) -> GridParams:
    """Today's grid."""
    return params.main.read("grid", GridParams)


def read_lambda(params: Params, dataset: str, architecture: str, method: str) -> float:
    """λ of eq. (4) for a classifier.

    Raises:
        InputError: `lambda` has no entry for it.
    """
    return params.main.read(f"lambda.{dataset}.{architecture}.{method}", LAMBDA)
