"""Weights in files: ours, and public checkpoints of classifiers and diffusion models. Nothing in a file is ever run."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pag.base.errors import InputError

__all__ = ["file_digest", "load_checkpoint", "load_state", "read_state_dict"]

LISTED = 3  # names that an error message lists
NESTED = ("state_dict", "model_state_dict", "model", "net")  # where scripts put the weights beside other things
PARALLEL = "module."  # what torch's DataParallel puts before each name
COUNTER = (
    "num_batches_tracked"  # of batch norm; files older than torch 0.4.1 have none, and nothing is computed from it
)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Reads a state dict: safetensors where the name ends so, else a file as `torch.save` writes it.

    Weights that stand in an entry beside other things (`"state_dict"`, `"model"`, …) are found, and names lose the `module.` of
    `DataParallel`.

    Raises:
        InputError: the file is missing, truncated, holds something else, or could be read by running what is in it alone.
    """
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _load_pickled(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} holds more than tensors or is no checkpoint; save the model's state_dict()."
        ) from None
    except Exception:
        raise InputError(f"{path} is truncated or holds no state dict.") from None
    if isinstance(state, Mapping):
        state = next((state[name] for name in NESTED if isinstance(state.get(name), Mapping)), state)
    if not isinstance(state, Mapping) or not all(map(_is_named_tensor, state.items())):
        raise InputError(f"{path} holds no state dict.")
    if state and all(name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): value for name, value in state.items()}
    return dict(state)


def _is_named_tensor(item: tuple[object, object]) -> bool:
    name, value = item
    dense = (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and not value.is_quantized
        and not value.is_complex()
    )
    return isinstance(name, str) and dense


def _load_pickled(path: Path) -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_checkpoint(path: Path, network: nn.Module, digest: object = None) -> None:
    """Copies a file's state dict into the network.

    Args:
        path: a file that `read_state_dict` reads.
        network: of just the file's architecture.
        digest: the file's `file_digest` when it was written, as the folder's configuration has it; None where it has none.

    Raises:
        InputError: the file is missing, truncated, foreign, of another architecture (the first names that differ are listed), or
            has weights that are NaN or infinite; the network is then as it was.
    """
    state = read_state_dict(path)
    if digest is not None and file_digest(path) != digest:
        raise InputError(f"{path} holds other weights than were written; run the stage that makes it again.")
    load_state(state, network, path)


def load_state(state: Mapping[str, Tensor], network: nn.Module, path: Path) -> None:
    """Copies a state dict that was read from `path`; see `load_checkpoint`. Counts of batches may be missing."""
    not_finite = [name for name, value in state.items() if not value.isfinite().all()]
    if not_finite:
        raise InputError(f"{path} has weights that are not finite: {', '.join(not_finite[:LISTED])}.")
    expected = network.state_dict()
    state = {name: value for name, value in expected.items() if name.endswith(COUNTER)} | dict(state)
    differing = [f"{name} is missing" for name in expected if name not in state]
    differing += [f"{name} is not expected" for name in state if name not in expected]
    differing += [
        f"{name} has shape {tuple(state[name].shape)} and not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    if differing:
        more = f" and {len(differing) - LISTED} more" if len(differing) > LISTED else ""
        raise InputError(f"{path} is of another architecture: {', '.join(differing[:LISTED])}{more}.")
    network.load_state_dict(state)
