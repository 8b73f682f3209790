"""What the shell completes: names that params have. They are read as they stand, without torch and without a check."""

from pathlib import Path
from typing import Any

import typer

__all__ = ["architectures", "datasets", "explained", "methods", "targets"]

DATASETS = Path("params")


def datasets(incomplete: str) -> list[str]:
    """Data sets that have a file."""
    return _beginning(incomplete, sorted(path.stem for path in DATASETS.glob("*.yaml")))


def architectures(incomplete: str) -> list[str]:
    """Sections of `architectures`."""
    return _beginning(incomplete, _section(Path("params.yaml"), "architectures"))


def methods(context: typer.Context, incomplete: str) -> list[str]:
    """Methods of the data set that stands before, or of all."""
    return _of_dataset(context, "methods", incomplete)


def targets(context: typer.Context, incomplete: str) -> list[str]:
    """Target stores of the data set that stands before, or of all."""
    return _of_dataset(context, "targets", incomplete)


def explained(incomplete: str) -> list[str]:
    """Methods, target stores and architectures: of what can be explained what has a name of params."""
    files = sorted(DATASETS.glob("*.yaml"))
    names = [name for file in files for section in ("methods", "targets") for name in _section(file, section)]
    return _beginning(incomplete, list(dict.fromkeys([*names, *_section(Path("params.yaml"), "architectures")])))


def _of_dataset(context: typer.Context, section: str, incomplete: str) -> list[str]:
    given = context.params.get("dataset")
    files = [DATASETS / f"{given}.yaml"] if given else sorted(DATASETS.glob("*.yaml"))
    return _beginning(incomplete, list(dict.fromkeys(name for file in files for name in _section(file, section))))


def _beginning(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _section(file: Path, name: str) -> list[str]:
    """The keys of a section; none where the file is not there or not in form: a shell is told nothing of that."""
    import yaml

    try:
        content: Any = yaml.load(file.read_bytes(), yaml.CSafeLoader)
        return [str(key) for key in content[name]]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return []
