"""`code`: which code each stage runs, with a digest of each source file, so that DVC re-runs what an edit concerns.

Networks are found by the name of their family, so each architecture has a file of its own: a new one re-trains none of the others.
"""

from pathlib import Path

from pydantic import TypeAdapter

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.machine.locks import locked
from pag.networks.families import family_module
from stages.digests import of_module, of_stage
from stages.params.architectures import ArchitectureParams
from stages.params.reading import Params
from stages.paths import CODE

__all__ = ["STAGES", "run"]

STAGES = (
    "prepare",
    "originals",
    "train_diffusion",
    "score_targets",
    "heuristic_targets",
    "teacher_targets",
    "generate",
    "generated_targets",
    "train",
    "evaluate",
    "train_toy",
    "evaluate_toy",
    "visualize",
    "report",
    "plots_page",
)
_ARCHITECTURES: TypeAdapter[dict[str, ArchitectureParams]] = TypeAdapter(dict[str, ArchitectureParams])


def run(params: Params) -> Path:
    """Writes `data/code/<stage>.txt` and `data/code/architectures/<architecture>.txt`.

    Raises:
        InputError: the module of a family is not there.
    """
    with locked(CODE), written_whole(CODE) as folder:
        (folder / "architectures").mkdir(parents=True)
        for stage in STAGES:
            _write(folder / f"{stage}.txt", of_stage(stage))
        for name, architecture in params.main.read("architectures", _ARCHITECTURES).items():
            _write(folder / "architectures" / f"{name}.txt", _of_family(name, architecture.family))
    return CODE


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _of_family(name: str, family: str) -> list[str]:
    """The module of a network's class with what it imports; outside the project, the module alone."""
    module = family_module(family)
    lines = of_module(module)
    if not lines:
        raise InputError(f"params.yaml: architectures.{name}.family: there is no module {module}.")
    return lines
