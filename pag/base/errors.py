"""The one exception for what a user can mend: a wrong key, file, shape or value."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input. A sentence names the key or the file; the command line prints it and exits with status 2.

    It stays one line that any terminal shows: names and values that it quotes may hold line breaks, or bytes that are no text.
    Of several mistakes that were found together each has a sentence, and as text each has a line.
    """

    def __init__(self, *sentences: str) -> None:
        super().__init__(*map(_shown, sentences))

    def __str__(self) -> str:
        return "\n".join(self.args)


def _shown(sentence: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)
