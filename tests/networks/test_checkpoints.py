"""Laws of checkpoints: what was saved comes back, public forms are understood, and the rest is refused in one sentence."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pag.base.errors import InputError
from pag.networks.checkpoints import load_checkpoint, read_state_dict


def network(width=4, bias=True):
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2, bias=bias))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_checkpoints_come_back_and_truncated_ones_are_refused(tmp_path, suffix):
    path, state, other = tmp_path / f"model{suffix}", network().state_dict(), network()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    with torch.no_grad():
        other[1].bias.add_(1)
    load_checkpoint(path, other)
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())
    whole = path.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"model{suffix} is truncated or holds no state dict"):
            load_checkpoint(path, other)


@pytest.mark.parametrize("entry", [None, "state_dict", "model", "net"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_public_forms_are_understood(tmp_path, entry, prefix):
    path, state = tmp_path / "public.pt", network().state_dict()
    renamed = {prefix + name: value for name, value in state.items()}
    torch.save(renamed if entry is None else {"epoch": 3, entry: renamed}, path)
    read = read_state_dict(path)
    assert list(read) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in read.items())


class Foreign:
    """What a state dict cannot hold."""


@pytest.mark.parametrize("content", [
    [1, 2], {"epoch": 3}, Foreign(), torch.zeros(2), {1: torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.complex64)},
])  # fmt: skip
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "foreign.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match=r"foreign\.pt"):
        read_state_dict(path)
    for text in ("", "hello\n", "<html></html>"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"foreign\.pt"):
            read_state_dict(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_and_the_network_stays(tmp_path, value):
    path, state, before = tmp_path / "weights.pt", network().state_dict(), network()
    state["1.bias"][1] = value
    torch.save(state, path)
    with pytest.raises(InputError, match=r"weights\.pt has weights that are not finite: 1\.bias\.$"):
        load_checkpoint(path, before)
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), network().parameters(), strict=True))


def test_code_in_a_file_is_not_run(tmp_path):
    path = tmp_path / "whole_model.pt"
    torch.save(network(), path)
    with pytest.raises(InputError, match=r"whole_model\.pt holds more than tensors"):
        read_state_dict(path)


def test_missing_files_and_other_architectures(tmp_path):
    path = tmp_path / "other.pt"
    with pytest.raises(InputError, match=r"other\.pt does not exist"):
        read_state_dict(path)
    torch.save(network(bias=False).state_dict(), path)
    with pytest.raises(InputError, match=r"other\.pt is of another architecture: 1\.bias is missing\.$"):
        load_checkpoint(path, network())
    torch.save(network().state_dict(), path)
    with pytest.raises(InputError, match=r"1\.bias is not expected\.$"):
        load_checkpoint(path, network(bias=False))
    with pytest.raises(InputError, match=r"0\.weight has shape \(4, 3\) and not \(5, 3\).*\.$"):
        load_checkpoint(path, network(5))
    torch.save(nn.Conv2d(1, 1, 1).state_dict(), path)
    with pytest.raises(InputError, match=r"and \d+ more\.$"):
        load_checkpoint(path, network())
