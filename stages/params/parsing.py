"""YAML as DVC reads it, and no more of it than parameters need.

DVC tracks the values that its parser finds, ruamel's of YAML 1.2, where `yes` is text and `1e-3` a number; so a stage reads by the
same. Refused is what hides a value from whoever reads the file: a key that stands twice, anchors and aliases (an override of one
key would alter another), tags, numbers with leading zeros, which some read as octal, and what is no text, truth value or finite
number.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pag.base.errors import InputError

__all__ = ["parse"]

DEEPEST = 32  # the parser in C ends the process where nesting fills the stack
LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")


def parse(text: str, subject: str) -> Any:  # noqa: ANN401
    """The value that a YAML text has: mappings with text as keys, lists, text, truth values, finite numbers, None.

    Args:
        text: of a file, or of an override's value.
        subject: what a message begins with, `params.yaml`.

    Raises:
        InputError: the text is not YAML, or of the kind that is refused; the sentence names the key or the line.
    """
    try:
        _check_events(text)
        value = YAML(typ="safe").load(text)
        for key, leaf in _leaves(value):
            _check_leaf(key, leaf)
    except InputError as error:
        raise InputError(f"{subject} {error}.") from None
    except Exception as error:  # of numbers and dates that are none the parser lets any exception through
        raise InputError(f"{subject} is not valid YAML: {_problem(error)}.") from None
    return value


def _problem(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        return f"{error.problem}, line {error.problem_mark.line + 1}"
    return " ".join(str(error).split()).rstrip(".")


@dataclass
class _Open:
    """A mapping or a list that has begun; `key` is the mapping's key whose value comes next."""

    mapping: bool
    keys: set[str] = field(default_factory=set)
    key: str | None = None

    @property
    def awaits_key(self) -> bool:
        return self.mapping and self.key is None


def _check_events(text: str) -> None:
    """Looks at the text's events one by one, of which aliases have not been followed and nothing is nested yet."""
    opened: list[_Open] = []
    for event in YAML(typ="safe").parse(text):
        _check_plain(event)
        inner = opened[-1] if opened else _Open(mapping=False)
        if isinstance(event, ScalarEvent) and inner.awaits_key:
            _enter_key(event, opened)
            continue
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            if inner.awaits_key or len(opened) == DEEPEST:
                why = "a key that is no text" if inner.awaits_key else f"more than {DEEPEST} levels"
                raise InputError(f"has {why} in line {_line(event)}")
            opened.append(_Open(isinstance(event, MappingStartEvent)))
            continue
        if isinstance(event, ScalarEvent) and event.implicit[0] and LEADING_ZERO.fullmatch(event.value):
            raise InputError(f"has the number {event.value} in line {_line(event)}; write it without leading zeros")
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            opened.pop()
        if opened:
            opened[-1].key = None


def _check_plain(event: Event) -> None:
    tag = getattr(event, "tag", None)
    if isinstance(event, AliasEvent) or getattr(event, "anchor", None) or tag:
        kind = f"the tag {tag}" if tag else "an anchor or alias (&, *)"
        raise InputError(f"has {kind} in line {_line(event)}; write the value itself where it stands")


def _enter_key(event: ScalarEvent, opened: list[_Open]) -> None:
    mapping = opened[-1]
    if event.value in mapping.keys:
        path = ".".join([*(outer.key for outer in opened if outer.key is not None), event.value])
        raise InputError(f"has the key {path} twice, the second time in line {_line(event)}")
    mapping.keys.add(event.value)
    mapping.key = event.value


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """What is no mapping or list, with its dotted key."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise InputError(f"has the key {key + '.' if key else ''}{name}, which is no text; put it in quotes")
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{key}.{index}" if key else str(index))
    else:
        yield key, value


def _check_leaf(key: str, value: object) -> None:
    where = f"has at {key} " if key else "is "
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}{value}, which is no finite number")
    if not isinstance(value, str | int | float | None):
        raise InputError(f"{where}{value}, a {type(value).__name__}; put text in quotes")
    if isinstance(value, str) and "\0" in value:
        raise InputError(f"{where}text with a zero byte, which no path can have")
