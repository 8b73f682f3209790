"""What all sections have in common: closed keys, numbers with their ranges, and names.

Every number has an upper bound, far above what anybody needs, so that a digit too many is told before anything runs.
"""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pag.base.errors import InputError

__all__ = [
    "BatchSize",
    "Count",
    "Decay",
    "Finite",
    "Fraction",
    "Index",
    "Name",
    "NonNegative",
    "Once",
    "Positive",
    "Section",
    "Seed",
    "Side",
    "Threads",
    "Width",
    "require_names",
]

T = TypeVar("T")
LARGEST = 1e9

Count = Annotated[int, Field(gt=0, le=10**9)]
Index = Annotated[int, Field(ge=0, le=10**9)]
Threads = Annotated[int, Field(gt=0, le=1024)]  # with many more the system ends the process
BatchSize = Annotated[int, Field(gt=0, le=2**20)]
Width = Annotated[int, Field(gt=0, le=2**16)]
"""Of a layer, or how many there are."""
Side = Annotated[int, Field(gt=0, le=2**14)]
"""Height or width of an image."""
Positive = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
Finite = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
_NAME = r"[a-z0-9_]+"
Name = Annotated[str, Field(pattern=f"^{_NAME}$")]


def require_names(**names: str) -> None:
    """Makes sure that what paths are made of are names: none leads to another folder.

    Args:
        names: by what they are of: `dataset="digits"`.

    Raises:
        InputError: one holds anything but lower-case letters, digits and `_`.
    """
    for what, name in names.items():
        if not re.fullmatch(_NAME, name):
            raise InputError(f"The name of {_WITH_ARTICLE[what]} is of lower-case letters, digits and _, not {name!r}.")


_WITH_ARTICLE = {
    "dataset": "a data set", "architecture": "an architecture", "method": "a method", "targets": "a target store",
}  # fmt: skip


def _each_once(values: list[T]) -> list[T]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"it has {value!r} twice")
    return values


Once = AfterValidator(_each_once)
"""Of a list: nothing stands in it twice."""


class Section(BaseModel):
    """A section: frozen, and closed to keys that it does not know. What stands below a key is what `pag explain` says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
