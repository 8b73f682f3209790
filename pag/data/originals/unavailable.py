"""What is said where a data set is neither there nor to be had."""

from pathlib import Path

from pag.base.errors import InputError

__all__ = ["unavailable"]


def unavailable(source: str, data_root: Path, folder: str, archive: str, reason: Exception) -> InputError:
    """The error to raise: which folder was looked in, why the download failed, and the ways to get the data set."""
    cause = " ".join(str(reason).split()).rstrip(".") or type(reason).__name__
    return InputError(
        f"{source}: {data_root / folder} is not there or not whole, and {archive} could not be downloaded ({cause}); put "
        f"{archive} or its unpacked folder into {data_root}, or set the data root to the folder that has them."
    )
