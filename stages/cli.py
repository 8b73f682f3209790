"""The command line `pag`: one command a stage, running a single cell without DVC; the very code that DVC calls."""

import os
import shlex
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from pag.base.errors import InputError

__all__ = ["app", "main"]

LARGEST_LAMBDA = 1e9
LARGEST_SEED = 2**31 - 1

app = typer.Typer(
    help="Perceptually aligned gradients: target gradients, alignment training, robustness evaluation.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)

imports = typer.Typer(help="Take in what others published.", no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(imports, name="import")

exports = typer.Typer(help="Write what others take.", no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(exports, name="export")


def _checked_lambda(value: float | None) -> float | None:
    """λ as what stands in a folder's name."""
    if value is not None and not 0 <= value <= LARGEST_LAMBDA:
        raise typer.BadParameter(f"{value} is not in the range 0 … {LARGEST_LAMBDA:g}.")
    return value


Dataset = Annotated[str, typer.Option(help="A data set: its numbers are in params/DATASET.yaml.")]
Architecture = Annotated[str, typer.Option(help="A section of [bold]architectures[/bold] in params.yaml.")]
Method = Annotated[
    str | None, typer.Option(help="A section of the data set's [bold]methods[/bold]: vanilla, score_based, …")
]
Base = Annotated[
    str | None, typer.Option(help="With --targets, in place of --method: the combined method BASE_with_TARGETS.")
]
Targets = Annotated[str | None, typer.Option(help="The target store of a combined method, or [bold]generated[/bold].")]
Lambda = Annotated[
    float | None,
    typer.Option(
        "--lambda",
        callback=_checked_lambda,
        help="The cell of figure 5's sweep with this λ, kept beside the method's own cell.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=LARGEST_SEED, help="Of training; default: the first of [bold]grid.seeds[/bold]."),
]
TargetsSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=LARGEST_SEED,
        help="Of the diffusion model, what it draws and the targets; default: the first of [bold]grid.targets_seeds[/bold].",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="[FILE:]KEY=VALUE",
        help="Override a parameter as dvc exp run -S does: seed=1, params/digits.yaml:training.epochs=5. Repeatable.",
    ),
]
ParamsFile = Annotated[
    Path, typer.Option("--params", help="The parameters; those of data sets are in params/ beside it.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="Processes (of each rank) that share the examples; default: as many as cores."),
]

PARAMS = Path("params.yaml")
SHARED = (
    "train_diffusion",
    "score_targets",
    "heuristic_targets",
    "teacher_targets",
    "generate",
    "generated_targets",
    "train",
    "evaluate",
    "commands.evaluate_checkpoint",
    "commands.evaluate_module",
)  # by ranks
FORKING = (
    "evaluate",
    "commands.evaluate_checkpoint",
    "commands.evaluate_module",
)  # whose last argument is a number of processes
EXACT = ("code", "originals", "plots_page")  # whose results have no floating-point number
LOWER = {
    "train_diffusion": "a lower diffusion.batch_size",
    "score_targets": "a lower targets.score_based.shard_size",
    "generate": "a lower generated.per_class",
    "generated_targets": "a lower targets.score_based.shard_size",
    "train": "a lower training.batch_size",
    "evaluate": "a lower evaluation.block_size, or --workers,",
    "commands.evaluate_checkpoint": "a lower evaluation.block_size, or --workers,",
    "commands.evaluate_module": "a lower evaluation.block_size, or --workers,",
    "train_toy": "a lower toy.batch_size",
}  # what most of a stage's memory grows with
LAUNCHED = "PAG_LAUNCHED"  # in the environment of what the launcher starts


class Split(StrEnum):
    """The images at which score-based gradients are taken."""

    train = "train"
    test = "test"


def _run(stage: str, params_file: Path, overrides: list[str] | None, *arguments: object, **names: str) -> None:
    """Checks params and runs a stage's `run(params, …)`; stages are imported when they run: `--help` does not wait for torch.

    The `names` that a command is given (`stages.params.check.Named`) are looked up in params before anything is made of them. An
    argument that is a function of params is what it gives: which seed is meant where none is given.

    A long stage is run by all ranks, behind `launcher` where there is one; any other by the first rank alone. Ctrl-C ends it with
    status 130.
    """
    from pydantic import TypeAdapter

    from pag.base.vocabulary import Arithmetic
    from pag.machine.arithmetic import set_arithmetic
    from stages.params.check import Named, check
    from stages.params.reading import Params

    params = Params(params_file, overrides or ())
    check(params, named=Named(**names))
    if stage not in EXACT:
        set_arithmetic(params.main.read("arithmetic", TypeAdapter(Arithmetic)))
    if stage in SHARED:
        _launch(params.main.read("launcher", str) if "launcher" in params.main.content else "")
    elif _one_of_many() and os.environ["RANK"] != "0":
        return
    if stage in FORKING and arguments[-1] != 1:
        from pag.machine.server import start_server

        start_server([f"stages.{stage}"])  # imports beside this process, not after it
    run: Callable[..., None] = import_module(f"stages.{stage}").run
    try:
        with _ranks() if stage in SHARED else nullcontext():
            run(params, *(argument(params) if callable(argument) else argument for argument in arguments))
    except KeyboardInterrupt:
        if _reports_failure():
            print("\npag: interrupted; the same command goes on from its last checkpoint.", file=sys.stderr)
        raise typer.Exit(130) from None
    except (MemoryError, RuntimeError) as error:
        told = _out_of_memory(error, stage)
        if told is None:
            raise
        raise told from error


def _ranks() -> AbstractContextManager[None]:
    """What joins this process with the other ranks, if there are any; it needs torch, as what is shared does."""
    from pag.machine.ranks import joined

    return joined()


def _out_of_memory(error: Exception, stage: str) -> InputError | None:
    """A want of memory as bad input, with what to lower; None for any other error."""
    from pag.machine.capacity import lacks_memory

    if not lacks_memory(error):
        return None
    reason = str(error).splitlines()[0].rpartition("Allocator: ")[2] if str(error) else "nothing is left"
    less = LOWER.get(stage, "a smaller data set")
    return InputError(f"There is not enough memory ({reason.rstrip('.?')}); {less} needs less.")


def _combined(method: str | None, base: str | None, targets: str | None) -> str | None:
    """The name of the method: `--base` and `--targets` are how dvc.yaml names one of section 6."""
    if base is None and targets is None:
        return method
    if base is None or targets is None or method is not None:
        raise InputError("--base and --targets go together, in place of --method.")
    return f"{base}_with_{targets}"


def _of_targets(seed: int | None) -> Callable[[Any], int]:
    """Of params the seed of targets that is meant."""
    from stages.cells import chosen_targets_seed

    return partial(chosen_targets_seed, given=seed)


def _cell(
    dataset: str, architecture: str, method: str, seed: int | None, targets_seed: int | None, lambda_: float | None
) -> Callable[[Any], object]:
    """Of params the cell that is meant."""
    from stages.cells import named_cell

    return lambda params: named_cell(params, dataset, architecture, method, seed, targets_seed, lambda_)


def _launch(launcher: str) -> None:
    """Puts `launcher` in front of this command, once: what it starts takes this process's place."""
    if not launcher.strip() or LAUNCHED in os.environ or "WORLD_SIZE" in os.environ:
        return
    try:
        command = [*shlex.split(os.path.expandvars(launcher)), sys.executable, "-m", "stages", *sys.argv[1:]]
        os.execvpe(command[0], command, {"OMP_NUM_THREADS": "1", **os.environ, LAUNCHED: "1"})
    except (OSError, ValueError) as error:
        raise InputError(f"params.yaml: launcher: {launcher!r} cannot be run ({error}).") from None


def _one_of_many() -> bool:
    """Whether torchrun started other ranks beside this process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _reports_failure() -> bool:
    """Whether this process, which has failed, says so: of several ranks the first that fails."""
    if not _one_of_many():
        return True
    from pag.machine.ranks import fails_first

    return fails_first()


@app.command()
def code(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write which code each stage runs; DVC re-runs stages by it."""
    _run("code", params, set_)


@app.command()
def originals(dataset: Dataset, set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write which original files a data set has; DVC notices by it that a picture was added."""
    _run("originals", params, set_, dataset, dataset=dataset)


@app.command()
def prepare(dataset: Dataset, set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write a data set's images and labels, with its validation split."""
    _run("prepare", params, set_, dataset, dataset=dataset)


@app.command()
def train_diffusion(
    dataset: Dataset, targets_seed: TargetsSeed = None, set_: Overrides = None, params: ParamsFile = PARAMS
) -> None:
    """Train the class-conditional diffusion model of C + 1 labels (section 4.2)."""
    _run("train_diffusion", params, set_, dataset, _of_targets(targets_seed), dataset=dataset)


@app.command()
def score_targets(
    dataset: Dataset,
    split: Annotated[
        Split, typer.Option(help="train: what classifiers learn from; test: evaluate's reference.")
    ] = Split.train,
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Distil score-based target gradients from the diffusion model (section 4.2, eq. 8)."""
    _run("score_targets", params, set_, dataset, split.value, _of_targets(targets_seed), dataset=dataset)


@app.command()
def heuristic_targets(
    dataset: Dataset,
    source: Annotated[str, typer.Option(help="A heuristic section of the data set's [bold]targets[/bold].")],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write targets that need no network: class representatives (section 4.1), kernel densities."""
    _run("heuristic_targets", params, set_, dataset, source, _of_targets(targets_seed), dataset=dataset, targets=source)


@app.command()
def teacher_targets(
    dataset: Dataset,
    architecture: Architecture,
    method: Annotated[str, typer.Option(help="How the teacher was trained, a section of [bold]methods[/bold].")],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write a trained classifier's margin gradients as targets, the store teacher_METHOD; of a seed, the teacher of that seed."""
    from stages.params.targets import teacher_targets

    names = {"dataset": dataset, "architecture": architecture, "method": method}
    seed = _of_targets(targets_seed)
    _run("teacher_targets", params, set_, *names.values(), seed, **names, targets=teacher_targets(method))


@app.command()
def generate(
    dataset: Dataset, targets_seed: TargetsSeed = None, set_: Overrides = None, params: ParamsFile = PARAMS
) -> None:
    """Draw labelled images from the diffusion model, for methods that train with them."""
    _run("generate", params, set_, dataset, _of_targets(targets_seed), dataset=dataset)


@app.command()
def generated_targets(
    dataset: Dataset,
    source: Annotated[str, typer.Option(help="A section of the data set's [bold]targets[/bold].")],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write target gradients at the generated images (section 4)."""
    _run("generated_targets", params, set_, dataset, source, _of_targets(targets_seed), dataset=dataset, targets=source)


@app.command()
def train(
    dataset: Dataset,
    architecture: Architecture,
    method: Method = None,
    base: Base = None,
    targets: Targets = None,
    lambda_: Lambda = None,
    seed: Seed = None,
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Train one classifier (section 3)."""
    method = _combined(method, base, targets)
    if method is None:
        raise InputError("train takes --method, or --base with --targets.")
    names = {"dataset": dataset, "architecture": architecture, "method": method}
    _run("train", params, set_, _cell(dataset, architecture, method, seed, targets_seed, lambda_), **names)


@app.command()
def evaluate(
    dataset: Dataset,
    architecture: Annotated[
        str | None, typer.Option(help="A section of [bold]architectures[/bold] in params.yaml; none for a module.")
    ] = None,
    method: Method = None,
    base: Base = None,
    targets: Targets = None,
    lambda_: Lambda = None,
    seed: Seed = None,
    targets_seed: TargetsSeed = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Weights from anywhere (safetensors or a torch state dict), in place of a method."),
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(
            metavar="PACKAGE.MODULE:FACTORY",
            help="Any torch.nn.Module on pixels in [0, 1], which the factory makes; its code is run.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where the results of a checkpoint or a module go; default: <stem>-evaluation beside the checkpoint, "
            "<factory>-evaluation here."
        ),
    ] = None,
    workers: Workers = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Measure a classifier on the test set: clean accuracy, attacks, alignment (section 5.2)."""
    processes = workers or max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    method = _combined(method, base, targets)
    given = [name for name, value in (("method", method), ("checkpoint", checkpoint), ("module", module)) if value]
    of_no_cell = (lambda_, seed, targets_seed) == (None, None, None)
    if given == ["method"] and architecture and method and output is None:
        names = {"dataset": dataset, "architecture": architecture, "method": method}
        cell = _cell(dataset, architecture, method, seed, targets_seed, lambda_)
        _run("evaluate", params, set_, cell, processes, **names)
    elif given == ["checkpoint"] and architecture and of_no_cell:
        arguments = (checkpoint, dataset, architecture, output, processes)
        _run("commands.evaluate_checkpoint", params, set_, *arguments, dataset=dataset, architecture=architecture)
    elif given == ["module"] and not architecture and of_no_cell:
        _run("commands.evaluate_module", params, set_, module, dataset, output, processes, dataset=dataset)
    else:
        raise InputError(
            "evaluate takes --method with --architecture (and --lambda, --seed, --targets-seed), or --checkpoint with "
            "--architecture (and --output), or --module alone (and --output)."
        )


@app.command()
def train_toy(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Train the networks of the toy experiment (section 5.1)."""
    _run("train_toy", params, set_)


@app.command()
def evaluate_toy(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Attack the networks of the toy experiment (section 5.1)."""
    _run("evaluate_toy", params, set_)


@app.command()
def visualize(
    dataset: Dataset,
    architecture: Architecture,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="First move what is not of today's grid to data/DATASET/former/.")
    ] = False,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Draw the figures of one data set and architecture."""
    _run("visualize", params, set_, dataset, architecture, set_aside, dataset=dataset, architecture=architecture)


@app.command()
def report(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write the page and the tables of the whole grid."""
    _run("report", params, set_)


@app.command()
def keep(
    name: Annotated[str, typer.Option(help="The file's name in [bold]results/[/bold], and the run's in the report.")],
    hardware: Annotated[str, typer.Option(help="What the run was measured on, in words.")],
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write the results of today's grid to results/NAME.json, to be shown beside those of other machines."""
    _run("commands.keep", params, set_, name, hardware)


@app.command()
def plots_page(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write the page that [bold]dvc plots show[/bold] fills, with its scripts, so that it needs no network."""
    _run("plots_page", params, set_)


@app.command()
def results() -> None:
    """Write the tables of docs/results.md from the files of results/."""
    from stages.commands.results import write_results

    write_results()


@imports.command("targets")
def import_targets(
    dataset: Dataset,
    name: Annotated[str, typer.Option(help="A section of the data set's [bold]targets[/bold] with source: imported.")],
    file: Annotated[Path, typer.Option(help="The tensor (N, 1 + C, ch, H, W): images and their target gradients.")],
    labels: Annotated[Path, typer.Option(help="The images' labels, (N,).")],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Turn published target gradients into a target store."""
    arguments = (dataset, name, file, labels, _of_targets(targets_seed))
    _run("commands.import_targets", params, set_, *arguments, dataset=dataset, targets=name)


@imports.command("diffusion")
def import_diffusion(
    dataset: Dataset,
    file: Annotated[Path, typer.Option(help="An EMA checkpoint of improved-diffusion, of C + 1 labels.")],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Take a published diffusion model instead of training one."""
    _run("commands.import_diffusion", params, set_, dataset, file, _of_targets(targets_seed), dataset=dataset)


@exports.command("robustbench")
def export_robustbench(
    dataset: Dataset,
    architecture: Architecture,
    threat: Annotated[str, typer.Option(help="A threat of the evaluation, [bold]l2[/bold] or [bold]linf[/bold].")],
    out: Annotated[Path, typer.Option(help="The folder: a checkout of RobustBench, or an empty one.")],
    method: Method = None,
    base: Base = None,
    targets: Targets = None,
    lambda_: Lambda = None,
    seed: Seed = None,
    targets_seed: TargetsSeed = None,
    name: Annotated[str | None, typer.Option(help="Of the model, as the zoo has it: Surname2023FirstWord.")] = None,
    title: Annotated[str, typer.Option(help="Of the paper.")] = "",
    link: Annotated[str, typer.Option(help="To the paper.")] = "",
    authors: Annotated[str, typer.Option(help="Of the paper.")] = "",
    venue: Annotated[str, typer.Option(help="Of the paper.")] = "",
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write a classifier as RobustBench's model zoo takes it: weights, model class, model_info."""
    from stages.commands.export_robustbench import Submission

    method = _combined(method, base, targets)
    if method is None:
        raise InputError("export robustbench takes --method, or --base with --targets.")
    names = {"dataset": dataset, "architecture": architecture, "method": method}
    cell = _cell(dataset, architecture, method, seed, targets_seed, lambda_)
    submission = Submission(name, title, link, authors, venue)
    _run("commands.export_robustbench", params, set_, cell, threat, out, submission, **names)


def main() -> None:
    """Entry point: what a user can mend ends with one sentence and status 2; of several ranks one prints it, and all end so.

    Anything else is a fault of this program: its traceback, where to report it, and status 1.
    """
    try:
        app()
    except Exception as error:
        if not _reports_failure():
            sys.exit(2)
        sentence = _sentence(error)
        if sentence is None:
            traceback.print_exc()
            print(f"pag: this is a fault of pag; please report what stands above at {_tracker()}.", file=sys.stderr)
            sys.exit(1)
        print(f"pag: {sentence}", file=sys.stderr)
        sys.exit(2)


def _sentence(error: Exception) -> str | None:
    """What to tell of an error that is expected: bad input, diverging numbers, or a file that the system refuses."""
    if isinstance(error, InputError | FloatingPointError):
        return str(error)
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{what[0].lower()}{what[1:].rstrip('.')}."
    return None


def _tracker() -> str:
    """Where faults are reported: the first URL of the package, where it has one."""
    try:
        urls = metadata("pag").get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    return next((url.partition(", ")[2] for url in urls), "the project's issue tracker")
