"""How a command runs its stage: params are checked first, ranks are started, Ctrl-C and a want of memory are told."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path

import typer

from stages.cli.closing import closing_line
from stages.cli.failures import out_of_memory
from stages.cli.ranks import launch, one_of_many, reports_failure

__all__ = ["run_stage"]

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
EXACT = (
    "code",
    "originals",
    "plots_page",
    "commands.explain",
    "commands.new_dataset",
    "commands.status",
)  # whose results have no floating-point number


def run_stage(stage: str, params_file: Path, overrides: list[str] | None, *arguments: object, **names: str) -> None:
    """Checks params and runs a stage's `run(params, …)`; stages are imported when they run: `--help` does not wait for torch.

    The `names` that a command is given (`stages.params.check.Named`) are looked up in params before anything is made of them. An
    argument that is a function of params is what it gives: which seed is meant where none is given.

    A long stage is run by all ranks, behind `launcher` where there is one; any other by the first rank alone. The last line says
    what came out, and where. Ctrl-C ends it with status 130.
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
        launch(params.main.read("launcher", str) if "launcher" in params.main.content else "")
    elif one_of_many() and os.environ["RANK"] != "0":
        return
    if stage in FORKING and arguments[-1] != 1:
        from pag.machine.server import start_server

        start_server([f"stages.{stage}"])  # imports beside this process, not after it
    run: Callable[..., Path | None] = import_module(f"stages.{stage}").run
    try:
        with _ranks() if stage in SHARED else nullcontext():
            made = run(params, *(argument(params) if callable(argument) else argument for argument in arguments))
    except KeyboardInterrupt:
        if reports_failure():
            print("\npag: interrupted; the same command resumes from its last checkpoint.", file=sys.stderr)
        raise typer.Exit(130) from None
    except (MemoryError, RuntimeError) as error:
        told = out_of_memory(error, stage)
        if told is None:
            raise
        raise told from error
    if made is not None and os.environ.get("RANK", "0") == "0":
        print(closing_line(made))


def _ranks() -> AbstractContextManager[None]:
    """What joins this process with the other ranks, if there are any; it needs torch, as what is shared does."""
    from pag.machine.ranks import joined

    return joined()
