"""The golden networks: their names, shapes and outputs under a deterministic fill, as public implementations have them."""

import json
import math
from pathlib import Path

import torch

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "networks.json").read_text(encoding="utf-8"))


def fill(network):
    """Gives each floating-point entry of the state dict its deterministic values; the k-th name, sorted, sets the phase."""
    state = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    for k, name in enumerate(sorted(state)):
        value = state[name]
        s = torch.sin(0.7 * torch.arange(value.numel(), dtype=torch.float64) + 0.3 * k).reshape(value.shape)
        if name.endswith("running_var"):
            value.copy_(1 + 0.3 * s.abs())
        elif value.dim() <= 1:
            value.copy_(0.1 * s + name.endswith("weight"))
        else:
            value.copy_(s * math.sqrt(2 / value[0].numel()))
    return network.eval()


def assert_golden(network, golden):
    """Names in their order, shapes and number of parameters."""
    assert list(network.state_dict()) == list(golden["state"])
    assert {name: list(value.shape) for name, value in network.state_dict().items()} == golden["state"]
    assert sum(parameter.numel() for parameter in network.parameters()) == golden["parameters"]


def golden_input(golden):
    numel = math.prod(golden["input_shape"])
    return torch.sin(0.37 * torch.arange(numel, dtype=torch.float64)).float().reshape(golden["input_shape"])


def assert_golden_output(output, golden, tolerance=1e-4):
    assert list(output.shape) == golden["output_shape"]
    expected = torch.tensor(golden["output_head"], dtype=torch.float64)
    difference = (output.flatten()[: len(expected)].double() - expected).abs().max()
    assert difference <= tolerance * golden["output_std"]
