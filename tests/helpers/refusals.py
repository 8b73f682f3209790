"""The rule of bad input, for tests that try many: what is wrong is told in one sentence, and nothing else is raised."""

from pag.base.errors import InputError

__all__ = ["outcome"]


def outcome(attempt, *arguments):
    """What a call gives, and None; or None and the sentence by which it refuses: one line, with its full stop."""
    try:
        value, sentence = attempt(*arguments), None
    except InputError as error:
        value, sentence = None, str(error)
    assert sentence is None or (sentence.endswith(".") and sentence.isprintable()), sentence
    return value, sentence
