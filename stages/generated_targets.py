"""`generated_targets`: target gradients at the generated images, made as those at the training images are.

Representatives, pools and the diffusion model are those of the real training images.
"""

from pag.base.errors import InputError
from stages import heuristic_targets, score_targets
from stages.params.reading import Params
from stages.params.targets import TARGET, ImportedParams, ScoreBasedParams

__all__ = ["run"]


def run(params: Params, dataset: str, source: str, seed: int) -> None:
    """Writes `data/<dataset>/generated_targets/<seed>/<source>.zarr`; `source` names a section of the data set's `targets`.

    Raises:
        InputError: the targets are imported ones, which nobody has made at these images.
    """
    target = params.dataset(dataset).read(f"targets.{source}", TARGET)
    if isinstance(target, ImportedParams):
        raise InputError(f"The targets {source!r} are imported, so there are none at generated images.")
    if isinstance(target, ScoreBasedParams):
        score_targets.run(params, dataset, "generated", seed)
    else:
        heuristic_targets.run(params, dataset, source, seed, "generated")
