"""`generated_targets`: target gradients at the generated images, made as those at the training images are.

Representatives, pools and the diffusion model are those of the real training images.
"""

from pathlib import Path

from pag.base.errors import InputError
from stages import heuristic_targets, score_targets
from stages.params.reading import Params
from stages.params.targets import TARGET, ImportedParams, OwnTargetParams, ScoreBasedParams, TeacherParams

__all__ = ["run"]


def run(params: Params, dataset: str, source: str, seed: int) -> Path:
    """Writes `data/<dataset>/generated_targets/<seed>/<source>.zarr`; `source` names a section of the data set's `targets`.

    Raises:
        InputError: the targets are imported ones, a teacher's or a function's of one's own, which nobody has made at these images.
    """
    target = params.dataset(dataset).read(f"targets.{source}", TARGET)
    if isinstance(target, ImportedParams | OwnTargetParams | TeacherParams):
        raise InputError(
            f"targets.{source} is of the source {target.source}, which has no targets at generated images."
        )
    if isinstance(target, ScoreBasedParams):
        return score_targets.run(params, dataset, "generated", seed)
    return heuristic_targets.run(params, dataset, source, seed, "generated")
