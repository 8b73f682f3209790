"""How far an artifact is: whether it is there, is being made, and would be made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pag.machine.locks import holder
from stages.commands.artifacts import Artifact
from stages.paths import CHECKPOINTS

__all__ = ["Known", "State"]


class State(StrEnum):
    """Of an artifact."""

    done = "done"
    stale = "stale"
    """It is there, and `dvc repro` would make it again."""
    running = "running"
    """A process is making it."""
    interrupted = "interrupted"
    """It is not there, and what makes it goes on from a checkpoint."""
    missing = "missing"


@dataclass(frozen=True)
class Known:
    """What is known of changes.

    Attributes:
        changes: by artifact or a file in it, why DVC would make it again.
        code: the stages whose code has changed since.
    """

    changes: Mapping[Path, tuple[str, ...]]
    code: frozenset[str] = frozenset()

    def reasons(self, artifact: Artifact) -> list[str]:
        """Why an artifact would be made again; empty where it would not."""
        of_files = (why for path, why in self.changes.items() if path == artifact.path or artifact.path in path.parents)
        own_code = [f"the code of {artifact.stage}"] if artifact.stage in self.code else []
        return [*dict.fromkeys(reason for why in of_files for reason in why), *own_code]

    def state(self, artifact: Artifact) -> State:
        """How far an artifact is now."""
        if holder(artifact.path) is not None:
            return State.running
        if not artifact.path.exists():
            begun = next(CHECKPOINTS.glob(f"{artifact.name}-{'[0-9a-f]' * 16}"), None)
            return State.missing if begun is None else State.interrupted
        return State.stale if self.reasons(artifact) else State.done
