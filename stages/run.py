"""What every stage's run has in common: deterministic arithmetic, a checkpoint folder, and its wall-clock time.

Under several ranks (`pag.machine.ranks`) all run the stage; the first alone keeps the folder and the time.

Times go to `data/times.jsonl`, outside the cached artifacts: an artifact is a function of code, parameters and seed alone.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch
from pydantic import BaseModel

from pag.base.errors import InputError
from pag.base.files import discard, recover
from pag.base.json_files import json_text
from pag.base.vocabulary import Precision
from pag.machine.locks import locked
from pag.machine.precision import computing_in
from pag.machine.ranks import barrier, device, first, from_first, local_size
from stages.digests import of_stage
from stages.paths import CHECKPOINTS, DATA, TIMES

__all__ = ["device", "processes", "read_times", "stage_run"]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.rglob("*")) if path.is_dir() else [path]


def _key(code: str, values: Iterable[object], inputs: Iterable[Path]) -> str:
    """Digest of the stage's code, the parameters and the contents of the inputs: what a checkpoint is valid for."""
    digest = hashlib.sha256("\n".join(of_stage(code)).encode())
    for value in values:
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        digest.update(json_text(plain, sort_keys=True).encode())
    for path in _files(inputs):
        if path.is_file():
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _claimed(held: ExitStack, outputs: Iterable[Path], folder: Path) -> Path:
    """Makes the checkpoint folder, once no other process writes there or any of the outputs."""
    for output in outputs:
        _require_in_data(output)
    for path in (*outputs, folder):
        held.enter_context(locked(path))
        recover(path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _require_in_data(output: Path) -> None:
    """What is called `data/…` is there: nothing is replaced where a symbolic link leads to."""
    # not `resolve`, which raises RuntimeError on links that lead in a circle
    there, data = (Path(os.path.realpath(path)) for path in (output.parent, DATA))
    if output.is_relative_to(DATA) and not there.is_relative_to(data):
        raise InputError(f"{output} leads out of {DATA}/ by a symbolic link to {there}; make it a folder.")


@contextmanager
def stage_run(
    code: str,
    cell: str = "",
    *,
    outputs: Sequence[Path] = (),
    values: Iterable[object] = (),
    inputs: Iterable[Path] = (),
    threads: int = 1,
    precision: Precision = "float32",
    timed: bool = True,
) -> Iterator[Path]:
    """Runs one stage: yields its checkpoint folder, which an interrupted run finds again and a finished one deletes.

    Args:
        code: the stage's module in `stages`, `train`, by whose digest its checkpoints are kept.
        cell: which of the stage's cells it is, `digits-resnet8-score_based-3407-3407`; none for a stage that has one.
        outputs: the files and folders that it writes, which no other process may write meanwhile.
        values: the parameters that the result depends on.
        inputs: the artifacts that it reads.
        threads: of torch on the CPU. Sums are taken in another order with another number, so it is no matter of the machine.
        precision: of networks.
        timed: whether its time is logged: not that of work outside the pipeline.

    Raises:
        InputError: another process is at the same work, or an output is not where it seems to be.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    torch.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms` would import the compiler, for seconds
    torch.set_num_threads(threads)
    started = time.monotonic()
    name = f"{Path(code).name}@{cell}" if cell else Path(code).name
    with ExitStack() as held:
        folder = CHECKPOINTS / f"{name}-{from_first(lambda: _key(code, values, inputs))}"
        checkpoints = from_first(lambda: _claimed(held, outputs, folder))
        try:
            with computing_in(precision, device()):
                yield checkpoints
        except BaseException:
            if first():
                with suppress(OSError):
                    checkpoints.rmdir()  # nothing in it that a next run could go on from
            raise
        barrier()  # until no rank needs the folder
        if first():
            if timed:
                _log_time(name, time.monotonic() - started)
            discard(checkpoints)


def processes(asked: int | None) -> int:
    """How many processes of this rank attack: as many as asked for; else one, on a GPU, or on CPUs one a core.

    Raises:
        InputError: more than one is asked for on a GPU, where stages compute in this process alone.
    """
    if device().type != "cuda":
        return asked or max(1, (os.cpu_count() or 1) // local_size())
    if asked not in (None, 1):
        raise InputError(
            "--workers is for CPUs: on a GPU a rank is one process, and launcher in params.yaml starts several."
        )
    return 1


def _log_time(stage: str, seconds: float) -> None:
    TIMES.parent.mkdir(exist_ok=True)
    with TIMES.open("a", encoding="utf-8") as log:
        log.write(json_text({"stage": stage, "seconds": round(seconds, 1)}) + "\n")


def read_times() -> dict[str, float]:
    """The wall-clock seconds of the last run of each stage; none where no stage has run.

    Raises:
        InputError: the file holds a line of another kind.
    """
    seconds: dict[str, float] = {}
    for line in TIMES.read_text(encoding="utf-8").splitlines() if TIMES.exists() else ():
        try:
            entry = json.loads(line)
            seconds[str(entry["stage"])] = _seconds(entry["seconds"])
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{TIMES} has a line that is no stage with its seconds; delete it.") from None
    return seconds


def _seconds(value: object) -> float:
    """A time is a number that is finite and not negative, which Python's JSON does not see to."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(value)
    return float(value)
