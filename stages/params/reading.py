"""Reading parameters: `params.yaml` for what a user alters, `params/<dataset>.yaml` for a data set, section by section.

A stage reads the sections that it needs and validates those alone, so that it depends on no other; `stages.params.check` validates
whole files. Every read raises Python's audit event `pag.params` with the file and the key, which shows what a stage reads.
"""

import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pag.base.errors import InputError
from stages.params.parsing import parse
from stages.params.section import Seed

__all__ = ["MAIN", "Params", "ParamsFile", "dataset_file", "sentence", "sentences"]

MAIN = "params.yaml"
QUOTED = 120  # characters of an input in a message
SIMILAR = 0.8  # from which on an unknown key is a missing one, misspelt
T = TypeVar("T")
_SEED: TypeAdapter[int] = TypeAdapter(Seed)
Mappings = Mapping[str, Any]


def dataset_file(dataset: str) -> str:
    """The name of a data set's file, as DVC and `--set` write it."""
    return f"params/{dataset}.yaml"


class ParamsFile:
    """One file of parameters.

    Attributes:
        name: how messages and `--set` call it.
        content: the file as YAML has it, with overrides.
    """

    def __init__(self, name: str, content: Mappings) -> None:
        self.name, self.content = name, content

    def read(self, key: str, schema: type[T] | TypeAdapter[T]) -> T:
        """The value at a dotted key.

        Args:
            key: as in `lambda.digits.resnet8.score_based`.
            schema: the section's model, or an adapter of another type.

        Raises:
            InputError: there is no such key, or its value is not of the schema; the sentence names file and key.
        """
        value: Any = self.content
        names = key.split(".")
        for depth, name in enumerate(names):
            if not isinstance(value, Mapping) or name not in value:
                known = f" (it has {', '.join(map(str, value))})" if isinstance(value, Mapping) else ""
                where = ".".join(names[:depth])
                raise InputError(f"{self.name}: {where or 'the file'} has no {name!r}{known}.")
            value = value[name]
        sys.audit("pag.params", self.name, key)
        adapter = schema if isinstance(schema, TypeAdapter) else TypeAdapter(schema)
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise InputError(sentence(error, value, self.name, key)) from None


class Params:
    """All parameters of a run.

    Args:
        path: of `params.yaml`; the data sets' files lie in `params/` beside it.
        overrides: as `dvc exp run -S` takes them: `key=value` of `params.yaml`, or `params/<dataset>.yaml:key=value`. A `+` before
            an optional key that the file does not have is allowed, `~key` takes one away.

    Attributes:
        folder: that the files are in.

    Raises:
        InputError: a file is missing or not YAML, or an override is malformed.
    """

    def __init__(self, path: Path = Path(MAIN), overrides: Sequence[str] = ()) -> None:
        self.folder = path.parent.absolute()
        self.main = ParamsFile(path.name, _load(path))
        self._datasets: dict[str, ParamsFile] = {}
        for assignment in overrides:
            self._override(assignment)

    def dataset(self, name: str) -> ParamsFile:
        """The file of a data set.

        Raises:
            InputError: there is none.
        """
        if name not in self._datasets:
            file = dataset_file(name)
            known = self.datasets()
            if name not in known:
                raise InputError(
                    f"There is no data set {name!r}: {file} does not exist (there are {', '.join(known)})."
                )
            self._datasets[name] = ParamsFile(file, _load(self.folder / file))
        return self._datasets[name]

    def datasets(self) -> list[str]:
        """The data sets that have a file."""
        return sorted(path.stem for path in (self.folder / "params").glob("*.yaml"))

    @property
    def seed(self) -> int:
        """Of everything that is random; below 2³¹."""
        return self.main.read("seed", _SEED)

    def _override(self, assignment: str) -> None:
        file, key = self._addressed(assignment.partition("=")[0])
        delete, key = key.startswith("~"), key.lstrip("+~")
        _, equals, value = assignment.partition("=")
        if not (equals or delete) or not all(key.split(".")):
            raise InputError(f"--set takes key=value, not {_told(assignment)!r}.")
        *parents, leaf = key.split(".")
        section: Any = file.content
        for parent in parents:
            section = section.setdefault(parent, {}) if isinstance(section, dict) else None
        if not isinstance(section, dict) or (delete and leaf not in section):
            raise InputError(f"--set {_told(assignment)}: {file.name} has no such key.")
        if delete:
            del section[leaf]
        else:
            section[leaf] = parse(value, f"--set {_told(assignment)}: the value")

    def _addressed(self, key: str) -> tuple[ParamsFile, str]:
        """The file that an override speaks of, and the key in it."""
        name, colon, rest = key.lstrip("+~").partition(":")
        if not colon:
            return self.main, key
        sign = key[: len(key) - len(key.lstrip("+~"))]
        if name == self.main.name:
            return self.main, sign + rest
        if name != dataset_file(Path(name).stem):
            raise InputError(f"--set {key}: parameters are in {MAIN} and params/<dataset>.yaml, not in {name}.")
        return self.dataset(Path(name).stem), sign + rest


def _told(text: str) -> str:
    """What a message quotes of an input."""
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise InputError(f"{path} cannot be read; run the command in the repository's root or give --params.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not valid YAML: it is not encoded as UTF-8 ({error.reason}).") from None
    raw = parse(text, str(path))
    if not isinstance(raw, dict):
        raise InputError(f"{path} holds no sections.")
    return raw


def sentence(error: ValidationError, raw: object, file: str, key: str = "") -> str:
    """The first mistake that a validation found, in one sentence; as `sentences`."""
    return sentences(error, raw, file, key)[0]


def sentences(error: ValidationError, raw: object, file: str, key: str = "") -> list[str]:
    """The mistakes that a validation found, a sentence each, unknown keys first.

    Args:
        error: of pydantic.
        raw: what was validated.
        file: where it stands.
        key: of `raw` in the file.
    """
    by_key: dict[str, Any] = {}
    for found in sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden"):
        by_key.setdefault(_key_path(raw, found["loc"], found["type"] == "missing"), found)
    return [
        _sentence(found, ".".join(filter(None, [key, path])), file)
        for path, found in by_key.items()
        if not _follows(path, found["type"], by_key)
    ]


def _follows(path: str, kind: str, by_key: Mapping[str, Any]) -> bool:
    """Whether a mistake is another one seen twice: a misspelt key is missing, too, and of a union each form is refused."""
    above = path.rpartition(".")[0]
    if kind == "missing":
        unknown = [p for p, e in by_key.items() if e["type"] == "extra_forbidden" and p.rpartition(".")[0] == above]
        return bool(get_close_matches(path, unknown, cutoff=SIMILAR))
    return any(other.startswith(f"{path}.") for other in by_key)


def _sentence(found: Mapping[str, Any], where: str, file: str) -> str:
    message = "Unknown key" if found["type"] == "extra_forbidden" else found["msg"].removeprefix("Value error, ")
    given = f" (it is {_told(repr(found['input']))})" if isinstance(found["input"], int | float | str) else ""
    return f"{file}: {where + ': ' if where else ''}{message[0].lower()}{message[1:]}{given}."


def _key_path(raw: object, location: tuple[int | str, ...], missing: bool) -> str:
    """The path as it stands in the file: pydantic's location without the tags of unions."""
    names: list[str] = []
    node = raw
    for part in location:
        known: Mapping[Any, object] = (
            node if isinstance(node, Mapping) else dict(enumerate(node)) if isinstance(node, list) else {}
        )
        if part in known:
            names.append(str(part))
            node = known[part]
    if missing:
        names.append(str(location[-1]))
    return ".".join(names)
