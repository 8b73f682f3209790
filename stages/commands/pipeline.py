"""What DVC says of the pipeline: which artifacts would be made again, and why."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pag.base.errors import InputError
from stages.code import STAGES
from stages.digests import ROOT, of_stage
from stages.paths import CODE

__all__ = ["changed_code", "changes"]

UNCHANGED = ("not in cache",)  # of an output that is as DVC knows it, but that it has no copy of


def changes() -> Mapping[Path, tuple[str, ...]]:
    """By artifact, why `dvc repro` would make it again, in DVC's words: `params/digits.yaml training.epochs modified`.

    Artifacts that it would not make again are left out, and so are those that only follow from others.

    Raises:
        InputError: DVC cannot tell here, and why not.
    """
    from dvc.exceptions import DvcException  # half a second, which a command without it need not wait for
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            status, stages = repo.status(), repo.index.stages
    except DvcException as error:
        raise InputError(f"DVC cannot say what has changed: {str(error).splitlines()[0].rstrip('.')}.") from None
    made = {stage.addressing: [Path(out.def_path) for out in stage.outs] for stage in stages}
    return {
        path: reasons
        for name, entries in status.items()
        if (reasons := tuple(_reasons(entries)))
        for path in made.get(name, [])
    }


def _reasons(entries: list[Any]) -> Iterator[str]:
    """Of DVC's entries: `changed command`, `{"changed deps": {path: how}}`, where parameters are one level deeper."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
            continue
        for of in entry.values():
            yield from _told("", of)


def _told(above: str, of: Mapping[str, Any]) -> Iterator[str]:
    for name, how in of.items():
        where = f"{above} {name}".strip()
        if isinstance(how, Mapping):
            yield from _told(where, how)
        elif how not in UNCHANGED:
            yield f"{where} {how}"


def changed_code() -> frozenset[str]:
    """The stages whose code has changed since the stage `code` last ran, which DVC will see when it runs it again."""
    if Path.cwd().resolve() != ROOT:
        return frozenset()  # DVC runs the code of this folder, which is not the one that is running here
    return frozenset(stage for stage in STAGES if _written(stage) not in (None, of_stage(stage)))


def _written(stage: str) -> list[str] | None:
    try:
        return (CODE / f"{stage}.txt").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
