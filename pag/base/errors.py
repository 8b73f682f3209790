"""The one exception for what a user can mend: a wrong key, file, shape or value."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input. The message is one sentence that names the key or the file; the command line exits with status 2.

    It stays one line that any terminal shows: names and values that it quotes may hold line breaks, or bytes that are no text.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence))
