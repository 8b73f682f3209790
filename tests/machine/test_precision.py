"""Laws of `pag.machine.precision`: settings come back, bfloat16 is near float32 and trains, float32 is what it was."""

import pytest
import torch
from torch import nn

from pag.alignment.differentiable import differentiable_gradients
from pag.alignment.gradients import cosine
from pag.machine.precision import computing_in
from pag.networks.architectures import build

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NVIDIA = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)


@pytest.mark.parametrize(("precision", "inside"), [("float32", "ieee"), ("tf32", "tf32"), ("bfloat16", "ieee")])
@pytest.mark.parametrize("before", ["ieee", "tf32"])
def test_settings_of_a_gpu_are_the_blocks_and_come_back(monkeypatch, precision, inside, before):
    monkeypatch.setattr("pag.machine.precision.torch.autocast", lambda *arguments, **options: torch.enable_grad())
    found = [setting.fp32_precision for setting in NVIDIA]
    for setting in NVIDIA:
        setting.fp32_precision = before
    try:
        with computing_in(precision, CUDA):
            assert {setting.fp32_precision for setting in NVIDIA} == {inside}
        assert {setting.fp32_precision for setting in NVIDIA} == {before}
    finally:
        for setting, value in zip(NVIDIA, found, strict=True):
            setting.fp32_precision = value


def _network():
    torch.manual_seed(0)
    return build("resnet", (3, 8, 8), 4, channels=(8, 16), blocks=(1, 1), norm="batch", activation="silu")


def _aligned_gradient(precision):
    model, generator = _network(), torch.Generator().manual_seed(1)
    x, g = torch.rand(6, 3, 8, 8, generator=generator), torch.randn(6, 2, 3, 8, 8, generator=generator)
    classes = torch.tensor([[0, 3]]).expand(6, -1)
    with computing_in(precision, CPU):
        v, logits = differentiable_gradients(model, x, classes, "log_softmax")
        loss = nn.functional.cross_entropy(logits, classes[:, 0]) + (1 - cosine(v, g)).mean()
        loss.backward()
    return loss, torch.cat([p.grad.flatten() for p in model.parameters()])


def test_double_backward_in_bfloat16_is_near_that_of_float32():
    (loss, gradient), (rough, rough_gradient) = _aligned_gradient("float32"), _aligned_gradient("bfloat16")
    assert rough.dtype == torch.float32
    assert not torch.equal(rough_gradient, gradient)
    torch.testing.assert_close(rough, loss, rtol=0.02, atol=0.02)
    assert nn.functional.cosine_similarity(rough_gradient, gradient, dim=0) > 0.95


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_cpu_computes_in_float32_as_without(precision):
    model, x = _network().eval(), torch.rand(2, 3, 8, 8)
    plain = model(x)
    with computing_in(precision, CPU):
        assert torch.equal(model(x), plain)


def test_weights_that_change_in_the_block_are_seen():
    layer, x = nn.Linear(2, 2), torch.ones(1, 2)
    with computing_in("bfloat16", CPU):
        before = layer(x)
        with torch.no_grad():
            layer.weight += 1
        torch.testing.assert_close(layer(x), before + 2, rtol=0.02, atol=0.02)
