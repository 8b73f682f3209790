"""Laws of robustness on the validation split: both attacks count what they fool, and the same seed has the same numbers."""

import pytest
import torch
from torch import nn

from pag.base.randomness import torch_stream
from pag.training import validation
from pag.training.validation import robust_under_apgd_t, robust_under_pgd

C, N, SEED = 5, 40, 3
WEAK, STRONG = {"l2": 1e-6, "linf": 1e-6}, {"l2": 9.0, "linf": 0.9}
ATTACKS = {
    "pgd": lambda *given, threats: robust_under_pgd(*given, threats, 3, SEED),
    "apgd_t": lambda *given, threats: robust_under_apgd_t(*given, threats, 5, 2, SEED),
}


@pytest.fixture
def data():
    """A network, images, and labels: its own predictions but for ten of them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.SiLU(), nn.Linear(16, C)).eval()
    x = torch.rand(N, 1, 6, 6, generator=torch_stream(0, "test"))
    labels = model(x).argmax(1)
    return model, x, torch.cat([labels[:30], (labels[30:] + 1) % C])


@pytest.mark.parametrize("name", ATTACKS)
def test_accuracy_goes_from_the_clean_one_to_none_as_the_threat_grows(data, name):
    assert ATTACKS[name](*data, threats=WEAK) == {f"{name}_{norm}": 0.75 for norm in WEAK}
    assert ATTACKS[name](*data, threats=STRONG) == {f"{name}_{norm}": 0.0 for norm in STRONG}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_same_seed_has_the_same_numbers_whatever_was_drawn_before(data, name):
    between = {"l2": 0.08, "linf": 0.015}
    first = ATTACKS[name](*data, threats=between)
    torch.rand(7)
    assert ATTACKS[name](*data, threats=between) == first
    assert all(0 < value < 0.75 for value in first.values())


def test_every_block_counts(data, monkeypatch):
    model, x, labels = data
    monkeypatch.setattr(validation, "BLOCK", 16)
    assert robust_under_apgd_t(model, x, labels, WEAK, 5, 2, SEED) == {f"apgd_t_{norm}": 0.75 for norm in WEAK}
