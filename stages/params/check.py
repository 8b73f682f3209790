"""The check of whole files: every key known, every value possible, and what one section says of another true.

Each command checks `params.yaml` and the data sets of today's grid before it does anything, so that a typo in the grid is found
before the first stage runs, and not at the stage that it belongs to. All mistakes are told at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from pag.base.errors import InputError
from pag.base.vocabulary import Arithmetic
from stages.params.architectures import ArchitectureParams
from stages.params.data import DataParams
from stages.params.diffusion import DiffusionParams
from stages.params.evaluation import EvaluationParams
from stages.params.families import FAMILIES
from stages.params.figures import FiguresParams
from stages.params.generated import GeneratedParams, require_all_timesteps
from stages.params.grid import GridParams
from stages.params.methods import MethodParams, MethodSections, source_of
from stages.params.reading import Params, ParamsFile, dataset_file, sentences
from stages.params.section import Name, NonNegative, Section, Seed, require_names
from stages.params.targets import ImportedParams, ScoreBasedParams, TargetParams, teacher_targets
from stages.params.toy import ToyParams
from stages.params.training import TrainingParams

__all__ = ["Named", "check"]

S = TypeVar("S", bound=Section)
Lambdas = dict[Name, dict[Name, dict[Name, NonNegative]]]


class MainParams(Section):
    """The whole of `params.yaml`."""

    seed: Seed
    """Of the attacks of an evaluation and of the toy; those of classifiers and targets are in `grid`."""
    data_root: Annotated[str, Field(min_length=1)]
    """Where the data sets' original files lie, or are downloaded to."""
    launcher: str = ""
    """Put in front of long stages: torchrun with its options. Results do not depend on it."""
    arithmetic: Arithmetic
    """Which instructions CPUs compute with: `portable`, the same on every x86-64 with AVX2, or `native`, the fastest of
    each.
    """
    grid: GridParams
    """What `dvc repro` runs."""
    lambda_: Lambdas = Field(alias="lambda")
    """λ of eq. (4), by data set, architecture and method (table 8)."""
    architectures: dict[Name, ArchitectureParams]
    """The networks."""
    toy: ToyParams
    """The two-dimensional experiment (section 5.1)."""


class DatasetParams(Section):
    """The whole of a data set's file."""

    data: DataParams
    """Where its images come from."""
    diffusion: DiffusionParams
    """The model of C + 1 labels (section 4.2)."""
    generated: GeneratedParams | None = None
    """The labelled images that the diffusion model draws."""
    targets: dict[Name, TargetParams]
    """The sources of target gradients (section 4)."""
    training: TrainingParams
    """What classifiers are trained with."""
    methods: dict[Name, MethodParams]
    """What training minimises (sections 3 and 6)."""
    evaluation: EvaluationParams
    """What is measured on the test set (section 5)."""
    figures: FiguresParams
    """What is drawn."""

    def contradictions(self) -> Iterator[str]:
        """Where one section says what another makes impossible, a phrase each."""
        for name, method in self.methods.items():
            yield from self._of_method(name, method)
        if self.generated is not None and self.generated.steps > self.diffusion.timesteps:
            yield f"generated.steps is {self.generated.steps}, more than diffusion.timesteps"
        yield from self._of_timesteps()

    def _of_method(self, name: str, method: MethodSections) -> Iterator[str]:
        """What a method reads is there, and can be read so."""
        source, alignment = source_of(name, method), method.alignment
        if source is None or alignment is None:
            return
        target = self.targets.get(source)
        if target is None:
            yield f"methods.{name} reads the targets {source!r}, which targets does not define"
        of_all = not (isinstance(target, ScoreBasedParams) and target.classes_per_image is not None)
        if target is not None and alignment.relative_to is not None:
            if not isinstance(target, ScoreBasedParams | ImportedParams):
                yield f"methods.{name}.relative_to is for scores; those targets are made relative to what they are"
            elif not of_all:
                yield f"methods.{name}.relative_to needs targets of all classes: classes_per_image null"
        if alignment.classes_shared and not of_all:
            yield f"methods.{name}.classes_shared needs targets of all classes: classes_per_image null"

    def _of_timesteps(self) -> Iterator[str]:
        """What is asked of the diffusion model is what it was trained at."""
        trained = self.diffusion.train_at
        used = [("evaluation.alignment.timestep", self.evaluation.alignment.timestep)]
        used += [
            (f"targets.{name}.timestep", target.timestep)
            for name, target in self.targets.items()
            if isinstance(target, ScoreBasedParams)
        ]
        used += [("figures.timesteps", t) for t in self.figures.timesteps]
        for key, t in used:
            if t >= self.diffusion.timesteps or (trained != "all" and t not in trained):
                yield f"{key} is {t}, a timestep that diffusion.timesteps and diffusion.train_at leave untrained"


@dataclass(frozen=True)
class Named:
    """What a command is told to work on: keys of params, each of which is looked up before anything is made of it.

    Attributes:
        dataset: one that has a file of its own.
        architecture: a section of `architectures`.
        method: a section of the data set's `methods`.
        targets: a section of the data set's `targets`.
    """

    dataset: str | None = None
    architecture: str | None = None
    method: str | None = None
    targets: str | None = None


class _Mistakes:
    """All that is wrong, in the order in which it was found."""

    def __init__(self) -> None:
        self.told: dict[str, None] = {}

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Within it the first mistake is noted, and the check goes on behind it."""
        try:
            yield
        except InputError as error:
            self.told |= dict.fromkeys(error.args)


def check(params: Params, datasets: Sequence[str] = (), named: Named | None = None) -> None:
    """Checks `params.yaml` and the files of the grid's data sets.

    Args:
        params: all parameters, overrides included.
        datasets: further data sets to check.
        named: what a command is given, if anything; its data set is checked, too.

    Raises:
        InputError: keys are unknown, missing or impossible; a sentence for each, a line each, names the file and the key.
    """
    named = named or Named()
    if named.dataset is not None:
        require_names(dataset=named.dataset)
        datasets = (*datasets, named.dataset)
    mistakes, main = _Mistakes(), None
    with mistakes.noted():
        main = _validated(params.main, MainParams)
    if main is not None:
        _check_main(mistakes, params, main)
    for name in dict.fromkeys((*_listed(params), *datasets)):
        with mistakes.noted():
            _check_dataset(mistakes, params, main, name, named)
    if mistakes.told:
        raise InputError(*mistakes.told)


def _listed(params: Params) -> list[str]:
    """The grid's data sets that have a file, whatever else is wrong with the grid."""
    grid = params.main.content.get("grid")
    listed = grid.get("datasets") if isinstance(grid, Mapping) else None
    known = params.datasets()
    return [name for name in listed if name in known] if isinstance(listed, list) else []


def _check_main(mistakes: _Mistakes, params: Params, main: MainParams) -> None:
    """What `params.yaml` says of itself, and which data sets there are."""
    file = params.main.name
    for name, architecture in main.architectures.items():
        with mistakes.noted():
            _check_family(file, name, architecture)
    for name in main.grid.architectures:
        with mistakes.noted():
            _require(name, main.architectures, f"{file}: grid.architectures", "architectures")
    known = dict.fromkeys(params.datasets())
    for name in main.grid.datasets:
        with mistakes.noted():
            _require(name, known, f"{file}: grid.datasets", "params/")


def _check_dataset(mistakes: _Mistakes, params: Params, main: MainParams | None, name: str, named: Named) -> None:
    """The file of a data set, what today's grid makes of it, and what a command names."""
    file = params.dataset(name)
    dataset = _validated(file, DatasetParams)
    mistakes.told |= {f"{file.name}: {contradiction}.": None for contradiction in dataset.contradictions()}
    if main is None:
        return
    if name in main.grid.datasets:
        _check_grid(mistakes, params.main.name, main, name, dataset)
    if name == named.dataset:
        _check_named(mistakes, params.main.name, main, dataset, named)


def _validated(file: ParamsFile, schema: type[S]) -> S:
    try:
        return schema.model_validate(file.content)
    except ValidationError as error:
        raise InputError(*sentences(error, file.content, file.name)) from None


def _check_family(file: str, name: str, architecture: ArchitectureParams) -> None:
    """The options of a built-in family; those of one's own are known to its class alone."""
    key = f"architectures.{name}"
    for given in ("image_shape", "num_classes"):
        if given in (architecture.model_extra or {}):
            raise InputError(f"{file}: {key}.{given} is given by the data set.")
    if ":" in architecture.family:
        return
    _require(architecture.family, FAMILIES, f"{file}: {key}.family", "the built-in families")
    options = architecture.model_extra or {}
    try:
        FAMILIES[architecture.family].model_validate(options)
    except ValidationError as error:
        raise InputError(*sentences(error, options, file, key)) from None


def _check_grid(mistakes: _Mistakes, file: str, main: MainParams, name: str, dataset: DatasetParams) -> None:
    """Every method and source that the grid names is there, reads what dvc.yaml says, and has a λ."""
    where = dataset_file(name)
    for key, method, source in (*main.grid.methods(), *main.grid.generated_methods(name)):
        with mistakes.noted():
            _check_method(file, main, (name, dataset), (key, method, source))
    for source in main.grid.heuristics:
        with mistakes.noted():
            _require(source, dataset.targets, f"{file}: grid.heuristics", f"targets of {where}")
    with mistakes.noted():
        _check_seeds_of_teachers(file, main.grid)
    for method in main.grid.teachers.methods:
        with mistakes.noted():
            _check_teacher(file, main.grid, method, where, dataset)
    if main.grid.lambdas:
        with mistakes.noted():
            _require("score_based", dataset.methods, f"{file}: grid.lambdas", f"methods of {where}")


def _check_method(
    file: str, main: MainParams, of: tuple[str, DatasetParams], listed: tuple[str, str, str | None]
) -> None:
    """A method that the grid names, by the key where it stands and the store that it is to read."""
    (name, dataset), (key, method, source) = of, listed
    where = dataset_file(name)
    _require(method, dataset.methods, f"{file}: {key}", f"methods of {where}")
    _check_generated(file, key, method, dataset, where)
    reads = source_of(method, dataset.methods[method])
    if reads != source:
        raise InputError(
            f"{file}: {key} is for {_reading(source)}, and {method} of {where} is one of {_reading(reads)}."
        )
    if source is not None:
        _check_lambda(file, main, name, method)


def _check_seeds_of_teachers(file: str, grid: GridParams) -> None:
    """The grid trains teachers with each seed of targets, on an architecture that it has."""
    if not grid.teachers.methods:
        return
    alone = next((seed for seed in grid.targets_seeds if seed not in grid.seeds), None)
    if alone is not None:
        raise InputError(f"{file}: grid.targets_seeds has {alone}, with which no teacher is trained (grid.seeds).")
    architectures = dict.fromkeys(grid.architectures)
    _require(grid.teachers.architecture, architectures, f"{file}: grid.teachers.architecture", "grid.architectures")


def _check_teacher(file: str, grid: GridParams, method: str, where: str, dataset: DatasetParams) -> None:
    """The grid trains a teacher, and the data set says how its targets are kept."""
    _require(method, dict.fromkeys(grid.baselines), f"{file}: grid.teachers.methods", "grid.baselines")
    _require(teacher_targets(method), dataset.targets, f"{file}: grid.teachers.methods", f"targets of {where}")


def _check_generated(file: str, key: str, method: str, dataset: DatasetParams, where: str) -> None:
    """Methods with generated images stand in `grid.generated` alone, where dvc.yaml makes them depend on these."""
    wanted, mixed = key == "grid.generated", dataset.methods[method].training.generated is not None
    if mixed != wanted:
        raise InputError(
            f"{file}: {key} is for methods {'with' if wanted else 'without'} training.generated, and {method} of {where} has "
            f"{'it' if mixed else 'none'}."
        )
    if wanted and dataset.generated is None:
        raise InputError(
            f"{file}: grid.generated.datasets names a data set whose file, {where}, has no section generated."
        )
    if wanted:
        require_all_timesteps(where, dataset.diffusion)


def _check_named(mistakes: _Mistakes, file: str, main: MainParams, dataset: DatasetParams, named: Named) -> None:
    where = dataset_file(named.dataset or "")
    for option, name, known, section in (
        ("--architecture", named.architecture, main.architectures, f"architectures of {file}"),
        ("--method", named.method, dataset.methods, f"methods of {where}"),
        ("--source or --name", named.targets, dataset.targets, f"targets of {where}"),
    ):
        if name is not None:
            with mistakes.noted():
                _require(name, known, option, section)


def _check_lambda(file: str, main: MainParams, dataset: str, method: str) -> None:
    section: Mapping[str, Any] = main.lambda_
    keys = ["lambda"]
    for architecture in main.grid.architectures:
        for name in (dataset, architecture, method):
            if name not in section:
                raise InputError(f"{file}: {'.'.join(keys)} has no {name!r}, which the grid runs.")
            section, keys = section[name], [*keys, name]
        section, keys = main.lambda_, ["lambda"]


def _require(name: str, known: Mapping[str, object], where: str, section: str) -> None:
    if name not in known:
        raise InputError(f"{where} names {name!r}, which {section} does not have (it has {', '.join(known)}).")


def _reading(source: str | None) -> str:
    return f"methods that read the targets {source}" if source else "methods without targets"
