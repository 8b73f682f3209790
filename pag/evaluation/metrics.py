"""What `metrics.json` of an evaluation holds: its one definition, for those who write it and those who read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pag.base.errors import InputError
from pag.base.json_files import read_json, write_json
from pag.base.vocabulary import Method
from pag.evaluation.intervals import Estimate
from pag.evaluation.sanity import Check, failed, spoils

__all__ = ["Attacked", "AutoAttacked", "Estimate", "Metrics", "read_metrics", "write_metrics"]


class Attacked(Estimate):
    """Accuracy under perturbations of at most ε in a norm."""

    norm: str
    eps: float


class AutoAttacked(Attacked):
    """Accuracy under AutoAttack, and what was left after each of its attacks and of further ones, in the order of the run."""

    attacks: dict[str, float]


class Metrics(BaseModel):
    """An evaluation on the test set.

    Attributes:
        dataset, architecture: by their keys in params.
        method: how the classifier was trained.
        lambda_: weight of the alignment term; None without alignment.
        seed: of the evaluation.
        training_seed: of the classifier; None where it is not known.
        targets_seed: of the diffusion model and the target gradients that it learnt from; None where it read none.
        training_forwards: what training cost, in forward passes of one image; None where it is not known.
        images: checksum of the image store that the test set is of; None where it is not known.
        weights: digest of the classifier's (`pag.evaluation.network.weights_digest`); None where it is not known.
        clean: accuracy without an attack.
        autoattack, pgd: robust accuracy by the threat's name; empty where the attack was not run.
        foolbox: robust accuracy by the attack's name.
        curve: robust accuracy over ε under PGD, by the name of the threat of that norm; ε ascends from 0. Empty where it was not
            measured.
        alignment: mean cosine with score-based gradients; None where the data set has none at its test images.
        sanity: what the checks of the evaluation found, by their names (`pag.evaluation.sanity`); empty where it was not checked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    dataset: str
    architecture: str
    method: Method
    lambda_: float | None = Field(validation_alias="lambda", serialization_alias="lambda")
    seed: int
    training_seed: int | None = None
    targets_seed: int | None = None
    training_forwards: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    images: str | None = None
    weights: str | None = None
    clean: Estimate
    autoattack: dict[str, AutoAttacked]
    pgd: dict[str, Attacked] = Field(default_factory=dict)
    foolbox: dict[str, Attacked] = Field(default_factory=dict)
    curve: dict[str, tuple[Attacked, ...]] = Field(default_factory=dict)
    alignment: Estimate | None
    sanity: dict[str, Check] = Field(default_factory=dict)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of training and of targets, as far as they are known: what tells the runs of a method apart."""
        return tuple(seed for seed in (self.training_seed, self.targets_seed) if seed is not None)

    @property
    def measures(self) -> dict[str, Estimate]:
        """Every measure by its dotted name: `clean`, `autoattack.l2`, `pgd.linf`, `foolbox.ead`, `alignment`."""
        kinds: Mapping[str, Mapping[str, Attacked]] = {
            "autoattack": self.autoattack,
            "pgd": self.pgd,
            "foolbox": self.foolbox,
        }
        attacked = {f"{kind}.{name}": value for kind, of in kinds.items() for name, value in of.items()}
        return {"clean": self.clean, **attacked, **({"alignment": self.alignment} if self.alignment else {})}

    def doubts(self, measure: str) -> list[str]:
        """The failed checks that spoil a measure, by its dotted name."""
        return [name for name in failed(self.sanity) if spoils(name, measure)]


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Writes `metrics.json`, whole; what was not run or is not known is left out, of attacks, checks and digests."""
    fields: dict[str, Any] = metrics.model_dump(mode="json", by_alias=True)
    optional = ("images", "weights", "pgd", "foolbox", "curve", "sanity")
    write_json(path, {name: value for name, value in fields.items() if value or name not in optional})


def read_metrics(path: Path) -> Metrics:
    """Reads what `write_metrics` wrote.

    Raises:
        InputError: the file is missing or damaged; the sentence names it and the key.
    """
    try:
        return Metrics.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}.") from None
