"""The last line of a command: what it made, where, and what came out, read from what lies there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["closing_line"]

LARGEST = 1000
UNITS = ("B", "KB", "MB", "GB", "TB")


def closing_line(made: Path) -> str:
    """`data/digits/classifiers/resnet8-vanilla/3407: validation accuracy 97.2%`.

    Args:
        made: the file or folder that a command has written; what is not known of its kind is told by its size.
    """
    told = _store(made) if made.suffix == ".zarr" else _metrics(made)
    return f"{made}: {told or _size(made)}"


def _metrics(folder: Path) -> str:
    """The numbers of a classifier, an evaluation, a diffusion model or the toy; empty where there are none."""
    file = folder / "metrics.json" if folder.is_dir() else folder
    if file.name != "metrics.json" or not file.is_file():
        return ""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "validation" in content:
        return f"validation accuracy {content['validation']['accuracy']:.1%}"
    if "autoattack" in content:
        return ", ".join(_evaluation(content))
    if "pairs" in content:
        robust = {kind: content[kind]["robust"]["mean"] for kind in ("vanilla", "aligned")}
        return ", ".join(f"{kind} {accuracy:.1%} under attack" for kind, accuracy in robust.items())
    return f"loss {content['loss']:.4g}" if "loss" in content else ""


def _evaluation(content: dict[str, Any]) -> Iterator[str]:
    yield f"clean {content['clean']['value']:.1%}"
    for name, of in content["autoattack"].items():
        yield f"AutoAttack {name} {of['value']:.1%}"
    if content["alignment"]:
        yield f"alignment {content['alignment']['value']:.3f}"
    failed = [name for name, check in content.get("sanity", {}).items() if not check["passed"]]
    if failed:
        yield f"failed checks: {', '.join(failed)}"


def _store(store: Path) -> str:
    """The arrays of a Zarr store with their shapes, but for what belongs to each row."""
    shapes = {}
    for file in sorted(store.rglob("zarr.json")):
        node = json.loads(file.read_text(encoding="utf-8"))
        if len(node.get("shape", ())) > 1:
            shapes[file.parent.relative_to(store).as_posix()] = " × ".join(map(str, node["shape"]))
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def _size(path: Path) -> str:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    size = float(sum(file.stat().st_size for file in files))
    unit = 0
    while size >= LARGEST and unit < len(UNITS) - 1:
        size, unit = size / LARGEST, unit + 1
    count = f"{len(files)} files, " if path.is_dir() else ""
    return f"{count}{size:.3g} {UNITS[unit]}"
