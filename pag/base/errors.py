"""The one exception for what a user can mend: a wrong key, file, shape or value."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input. The message is one sentence that names the key or the file; the command line exits with status 2."""
