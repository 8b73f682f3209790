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
    """How classifiers are trained beside the alignment: at_l2, trades."""
    targets: Names
    """The target stores that each base is combined with."""

    @property
    def methods(self) -> dict[str, str]:
        """The store that each method reads."""
        return {f"{base}_with_{targets}": targets for base in self.bases for targets in self.targets}


class TeachersParams(Section):
    """Classifiers whose margin gradients are kept as targets `teacher_<method>`."""

    architecture: Name
    """Of the teachers."""
    methods: Names
    """That they were trained by, baselines of the grid."""


class GeneratedGridParams(Section):
    """Methods `<base>_with_generated`, of data sets whose diffusion models draw images: `at_l2_with_generated`."""

    datasets: Names
    """Of the grid's, for which images are drawn."""
    baselines: Names
    """Bases without targets."""
    aligned: Names
    """Bases with targets."""

    def methods_of(self, dataset: str) -> dict[str, str | None]:
        """The store that each method reads, if it reads one; none for other data sets."""
        if dataset not in self.datasets:
            return {}
        sources = {**dict.fromkeys(self.baselines), **{base: base for base in self.aligned}}
        return {f"{base}_with_generated": source for base, source in sources.items()}


class AlignedMarginParams(Section):
    """Methods of the aligned margin, which all read one store; it does not bear their name."""

    methods: Names
    """Of the aligned margin."""
    targets: Name
    """The target store that all of them read."""


class GridParams(Section):
    """What is run."""

    datasets: Annotated[Names, Field(min_length=1)]
    """Each has a file in params/."""
    architectures: Annotated[Names, Field(min_length=1)]
    """Sections of `architectures`."""
    baselines: Names
    """Methods without target gradients."""
    heuristics: Names
    """Target stores that need no diffusion model."""
    teachers: TeachersParams
    """Classifiers whose gradients are targets."""
    aligned: Names
    """Methods that read the targets of their own name."""
    aligned_margin: AlignedMarginParams
    """Methods of the aligned margin."""
    combined: CombinedParams
    """Methods of section 6: a base with target gradients."""
    generated: GeneratedGridParams
    """Methods that train with generated images, too."""
    lambdas: Annotated[list[Annotated[NonNegative, BeforeValidator(_with_decimal_point)]], Once]
    """λ of the further cells of score_based (figure 5)."""
    seeds: Seeds
    """Of training: each cell's weights, order of images and draws."""
    targets_seeds: Seeds
    """Of the diffusion model and the target gradients, which are made once for each; each cell of a method that reads
    targets is trained with each. The first is that of what there is one of: the reference that alignment is measured
    against.
    """

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
