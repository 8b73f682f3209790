"""What is told of an error: one sentence where a user can mend it, else where to report it."""

from importlib.metadata import PackageNotFoundError, metadata

from pag.base.errors import InputError

__all__ = ["out_of_memory", "told", "tracker"]

LOWER = {
    "train_diffusion": "a lower diffusion.batch_size",
    "score_targets": "a lower targets.score_based.shard_size",
    "generate": "a lower generated.per_class",
    "generated_targets": "a lower targets.score_based.shard_size",
    "train": "a lower training.batch_size",
    "evaluate": "a lower evaluation.block_size or --workers",
    "commands.evaluate_checkpoint": "a lower evaluation.block_size or --workers",
    "commands.evaluate_module": "a lower evaluation.block_size or --workers",
    "train_toy": "a lower toy.batch_size",
}  # what most of a stage's memory grows with


def told(error: Exception) -> str | None:
    """What to tell of an error that is expected: bad input, diverging numbers, or a file that the system refuses."""
    if isinstance(error, InputError | FloatingPointError):
        return str(error)
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{what[0].lower()}{what[1:].rstrip('.')}."
    return None


def tracker() -> str:
    """Where faults are reported: the first URL of the package, where it has one."""
    try:
        urls = metadata("pag").get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    return next((url.partition(", ")[2] for url in urls), "the project's issue tracker")


def out_of_memory(error: Exception, stage: str) -> InputError | None:
    """A want of memory as bad input, with what to lower; None for any other error."""
    from pag.machine.capacity import lacks_memory

    if not lacks_memory(error):
        return None
    reason = str(error).splitlines()[0].rpartition("Allocator: ")[2] if str(error) else "nothing is left"
    less = LOWER.get(stage, "a smaller data set")
    return InputError(f"There is not enough memory ({reason.rstrip('.?')}); {less} needs less.")
