"""What all sections have in common: closed keys, numbers with their ranges, and names."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pag.base.errors import InputError

__all__ = [
    "Count", "Decay", "Finite", "Fraction", "Index", "Name", "NonNegative", "Positive", "Section", "Seed", "Threads",
    "require_names",
]  # fmt: skip

Count = Annotated[int, Field(gt=0)]
Index = Annotated[int, Field(ge=0)]
Threads = Annotated[int, Field(gt=0, le=1024)]  # with many more the system ends the process
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
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


class Section(BaseModel):
    """A section: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
