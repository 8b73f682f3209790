"""Laws of the diffusion model's training and folder: labels, timesteps, resumption, and refusal of what does not fit."""

import pytest
import torch

from pag.base.errors import InputError
from pag.diffusion.model import DiffusionConfig, load_diffusion, save_diffusion
from pag.diffusion.training import DiffusionRecipe, train_diffusion
from pag.optimization.loop import Run

C = 4
NETWORK = {
    "base_channels": 32, "channel_mult": (1, 1), "num_res_blocks": 1, "attention_downsamplings": (2,), "num_heads": 2,
    "dropout": 0.1, "scale_shift_norm": True,
}  # fmt: skip
CONFIG = DiffusionConfig((1, 4, 4), C, NETWORK, "cosine", 100, learned_variance=False)
ADAMW = {"name": "adamw", "lr": 2e-3, "weight_decay": 0.0, "warmup": 0.1}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % C
    return (labels[:, None, None, None] / (C - 1) + 0.05 * torch.randn(64, 1, 4, 4, generator=generator)).clamp(
        0, 1
    ), labels


def _train(data, checkpoint=None, **changes):
    recipe = DiffusionRecipe(**{"steps": 12, "batch_size": 32, "optimizer": ADAMW, "ema_decay": 0.9, **changes})
    return train_diffusion(CONFIG, *data, recipe, Run(5, "diffusion model", checkpoint=checkpoint))


@pytest.fixture
def seen(monkeypatch):
    """The labels and timesteps that the network is asked about in training."""
    calls = []
    from pag.improved_diffusion.unet import UNet

    original = UNet.forward

    def forward(self, x, timesteps, labels=None):
        calls.append((timesteps, labels))
        return original(self, x, timesteps, labels)

    monkeypatch.setattr(UNet, "forward", forward)
    return calls


def test_no_class_is_drawn_with_probability_one_in_c_and_all_timesteps_are_visited(data, seen):
    _train(data, batch_size=256)
    labels = torch.cat([label for _, label in seen])
    times = torch.cat([t for t, _ in seen])
    shares = torch.bincount(labels, minlength=C + 1) / len(labels)
    assert float(shares[C]) == pytest.approx(1 / C, abs=0.03)
    # the others keep their classes, in equal parts
    torch.testing.assert_close(shares[:C], torch.full((C,), (1 - 1 / C) / C), atol=0.03, rtol=0)
    assert len(times.unique()) == 100


def test_training_at_few_timesteps_sees_those_alone(data, seen):
    _train(data, train_at=[20, 50])
    assert torch.cat([t for t, _ in seen]).unique().tolist() == [200.0, 500.0]  # t · 1000/T


def test_interrupted_training_ends_with_the_same_weights(data, tmp_path, monkeypatch):
    whole, curves = _train(data)
    file, calls = tmp_path / "state.pt", []
    process = type(whole.process)
    original = process.training_losses

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(process, "training_losses", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _train(data, file)
    resumed, resumed_curves = _train(data, file)
    assert curves == resumed_curves
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], value, rtol=0, atol=0)


def test_training_lowers_the_loss(data):
    _, curves = _train(data, steps=120)
    assert curves[-1]["loss"] < 0.6 * curves[0]["loss"]


def test_folder_round_trips_and_damage_is_named(data, tmp_path):
    model, _ = _train(data, steps=2)
    save_diffusion(tmp_path, model)
    loaded = load_diffusion(tmp_path, CPU)
    x, t, labels = torch.rand(2, 1, 4, 4), torch.tensor([3, 90]), torch.tensor([0, loaded.null_label])
    expected = model.process.predict_noise(model.network, x, t, labels)
    assert torch.equal(loaded.process.predict_noise(loaded.network, x, t, labels), expected)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_diffusion(tmp_path, CPU)
