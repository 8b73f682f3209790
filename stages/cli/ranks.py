"""A command as one process of several, which the launcher of params or torchrun starts."""

import os
import shlex
import sys

from pag.base.errors import InputError

__all__ = ["launch", "one_of_many", "reports_failure"]

LAUNCHED = "PAG_LAUNCHED"  # in the environment of what the launcher starts


def launch(launcher: str) -> None:
    """Puts `launcher` in front of this command, once: what it starts takes this process's place."""
    if not launcher.strip() or LAUNCHED in os.environ or "WORLD_SIZE" in os.environ:
        return
    try:
        command = [*shlex.split(os.path.expandvars(launcher)), sys.executable, "-m", "stages", *sys.argv[1:]]
        os.execvpe(command[0], command, {"OMP_NUM_THREADS": "1", **os.environ, LAUNCHED: "1"})
    except (OSError, ValueError) as error:
        raise InputError(f"params.yaml: launcher: {launcher!r} cannot be run ({error}).") from None


def one_of_many() -> bool:
    """Whether torchrun started other ranks beside this process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def reports_failure() -> bool:
    """Whether this process, which has failed, says so: of several ranks the first that fails."""
    if not one_of_many():
        return True
    from pag.machine.ranks import fails_first

    return fails_first()
