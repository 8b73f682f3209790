"""Room on the disk and in memory, asked for before long work starts."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil
import torch

from pag.base.errors import InputError
from pag.machine.processes import DeadWorkerError
from pag.machine.ranks import local_size

__all__ = ["fits", "lacks_memory", "one_disk", "require_disk", "require_memory"]

_CPU = torch.device("cpu")


def require_disk(needed: Mapping[Path, int]) -> None:
    """Makes sure that disks have room.

    Args:
        needed: bytes that will be written to each folder; folders on one disk need room for their sum.

    Raises:
        InputError: a disk has less; the sentence names the folder and the sizes.
    """
    folders = {folder: _existing(folder) for folder, size in needed.items() if size > 0}
    totals: dict[int, int] = {}
    for folder, existing in folders.items():
        disk = existing.stat().st_dev
        totals[disk] = totals.get(disk, 0) + needed[folder]
    for folder, existing in folders.items():
        total, free = totals[existing.stat().st_dev], shutil.disk_usage(existing).free
        if free < total:
            raise InputError(f"{_size(total)} are needed on the disk of {folder}, which has {_size(free)} free.")


def one_disk(a: Path, b: Path) -> bool:
    """Whether two files or folders, there or still to be made, are on one disk."""
    return _existing(a).stat().st_dev == _existing(b).stat().st_dev


def require_memory(needed: int, device: torch.device = _CPU, key: str = "") -> None:
    """Makes sure that so many bytes of a device's memory are available.

    Args:
        needed: bytes.
        device: whose memory.
        key: of params, by which most of it would become less, if there is one.

    Raises:
        InputError: there is less; the sentence says how much is needed.
    """
    available, where = _available(device), " on the GPU" if device.type == "cuda" else ""
    if available < needed:
        advice = f"; lower {key}" if key else ""
        raise InputError(f"{_size(needed)} of memory{where} are needed, and {_size(available)} are available{advice}.")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory: Python's, torch's on the CPU or on a GPU, or a worker's death."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError | DeadWorkerError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes take at most half of a device's free memory; main memory is for all ranks on this host."""
    ranks = 1 if device.type == "cuda" else local_size()
    return 2 * size * ranks <= _available(device)


def _available(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
