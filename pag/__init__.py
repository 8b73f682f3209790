"""Perceptually aligned gradients (PAG): target gradients, alignment training and robustness evaluation.

Ganz, Kawar and Elad, "Do Perceptually Aligned Gradients Imply Robustness?", ICML 2023; docstrings cite its sections.
The library takes plain values: it knows nothing of DVC, `params.yaml` or the command line (those are in `stages`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pag.networks.classifier import load_classifier

__all__ = ["load_classifier"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports what the package offers when it is asked for: `import pag` does not wait for torch."""
    if name == "load_classifier":
        from pag.networks.classifier import load_classifier

        return load_classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
