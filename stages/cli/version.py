"""`--version`: of this program, of what it computes with, and the commit of the checkout that it runs from."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

__all__ = ["show_version"]

ROOT = Path(__file__).resolve().parents[2]


def show_version(asked: bool) -> None:
    """Prints one line and ends."""
    if not asked:
        return
    commit = _commit()
    of = f"pag {_version('pag')}{f' ({commit})' if commit else ''}"
    typer.echo(f"{of}, torch {_version('torch')}, Python {platform.python_version()}")
    raise typer.Exit


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """`commit 0123456, with changes`; empty where the code is in no checkout of its own, or there is no git."""
    if not (ROOT / ".git").exists():
        return ""
    try:
        commit, changes = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain", "--", "pag", "stages")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"commit {commit}, with changes" if changes else f"commit {commit}"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout.strip()
