"""Every key of params with its present value and what it does, as the schema says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from stages.params.architectures import ArchitectureParams
from stages.params.check import DatasetParams, MainParams
from stages.params.families import FAMILIES
from stages.params.reading import Params, ParamsFile

__all__ = ["Entry", "entries_of"]


@dataclass(frozen=True, eq=False)
class Entry:
    """A key of a file.

    Attributes:
        file: where it stands, or may stand: a default has its key, too.
        key: dotted.
        value: a plain one, or a section.
        meaning: what it does.
    """

    file: str
    key: str
    value: object
    meaning: str

    @property
    def is_section(self) -> bool:
        """Whether other keys stand below it."""
        return isinstance(self.value, BaseModel | Mapping)


def entries_of(params: Params, dataset: str | None) -> Iterator[Entry]:
    """The keys of `params.yaml`, or of a data set's file, in the order of the schema, each section before its keys."""
    if dataset is None:
        yield from _of_file(params.main, MainParams)
    else:
        yield from _of_file(params.dataset(dataset), DatasetParams)


def _of_file(file: ParamsFile, schema: type[BaseModel]) -> Iterator[Entry]:
    yield from _below(file.name, "", schema.model_validate(file.content))


def _below(file: str, above: str, section: BaseModel) -> Iterator[Entry]:
    for name, field in type(section).model_fields.items():
        key, value = f"{above}{field.alias or name}", getattr(section, name)
        yield Entry(file, key, value, " ".join((field.description or "").split()))
        yield from _inside(file, key, value)
    if isinstance(section, ArchitectureParams) and section.family in FAMILIES:
        yield from _below(file, above, FAMILIES[section.family].model_validate(section.model_extra))


def _inside(file: str, key: str, value: Any) -> Iterator[Entry]:  # noqa: ANN401
    """The keys of a section, or of a mapping of sections."""
    if isinstance(value, BaseModel):
        yield from _below(file, f"{key}.", value)
    elif isinstance(value, Mapping):
        for name, of in value.items():
            yield Entry(file, f"{key}.{name}", of, "")
            yield from _inside(file, f"{key}.{name}", of)
