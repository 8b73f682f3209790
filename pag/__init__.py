"""Perceptually aligned gradients (PAG): target gradients, alignment training and robustness evaluation.

Ganz, Kawar and Elad, "Do Perceptually Aligned Gradients Imply Robustness?", ICML 2023; docstrings cite its sections.
The library takes plain values: it knows nothing of DVC, `params.yaml` or the command line (those are in `stages`).

What it offers stands in the stub beside this file, `__init__.pyi`, alone: type checkers read it, and so does this module. A name is
imported when it is asked for, so `import pag` does not wait for torch; and a new name changes nothing of what stages run.
"""

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


@cache
def _offered() -> dict[str, str]:
    """The names of the stub, each with the module that it comes from."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    return {a.name: str(node.module) for node in stub.body if isinstance(node, ast.ImportFrom) for a in node.names}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "__all__":
        return sorted(_offered())
    if name.startswith("_") or name not in _offered():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_offered()[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *_offered()]
