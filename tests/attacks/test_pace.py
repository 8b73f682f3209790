"""Laws of pace: it counts what attacks do, tells how far they are from 0 to 1, and alters nothing."""

import pyautoattack
import pytest
import torch
from pyautoattack.square import SquareAttack
from torch import nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.autoattack_parts import STANDARD
from pag.attacks.harness import attack_block
from pag.attacks.pace import Paced, paced
from pag.attacks.threats import Threat


def network(classes):
    """A network that is right, and that no small ε fools: the class is the brightest part of the image."""
    torch.manual_seed(0)
    linear = nn.Linear(36, classes)
    nn.init.orthogonal_(linear.weight, gain=5.0)
    return nn.Sequential(nn.Flatten(), linear).eval()


def block(model):
    x = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return x, model(x).argmax(dim=1)


@pytest.fixture(autouse=True)
def short_square(monkeypatch):
    """Square with 50 queries instead of 5000."""

    class Short(SquareAttack):
        n_queries = property(lambda self: 50, lambda self, value: None)

    monkeypatch.setattr(pyautoattack.autoattack, "SquareAttack", Short)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("classes", [3, 5])
def test_attacks_call_a_network_that_withstands_them_as_often_as_they_say(norm, classes):
    model = network(classes)
    x, labels = block(model)
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    attack = AutoAttack(Threat(norm, 1e-3), iterations=5, targets=2)
    parts = attack.parts(model, x, classes, seed=0)
    model.register_forward_hook(count)
    for name, part in parts.items():
        calls = 0
        part(x, labels)
        assert calls == part.passes, name


def test_it_tells_how_far_a_block_is_and_alters_nothing():
    model = network(5)
    x, labels = block(model)
    for eps in (1e-3, 0.5):
        heard = []
        attack = AutoAttack(Threat("l2", eps), iterations=5, targets=2)
        told = attack_block(attack, model, x, labels, 0, told=lambda *said, heard=heard: heard.append(said))
        alone = attack_block(attack, model, x, labels, 0)
        assert torch.equal(told.x_adv, alone.x_adv)
        assert all(torch.equal(told.robust[name], alone.robust[name]) for name in STANDARD)
        fractions = [fraction for fraction, _ in heard]
        assert fractions == sorted(fractions)
        assert 0 < fractions[0] < fractions[-1] <= 1
        assert len(model._forward_hooks) == 0
    assert heard[0][1].startswith("apgd-ce ")


def test_an_attack_that_is_longer_than_it_says_stays_at_its_end():
    model, heard = network(3), []
    parts = {"a": Paced(lambda x, labels: x, 2), "b": Paced(lambda x, labels: x, 2)}
    with paced(model, parts, "a", lambda *said: heard.append(said)):
        for _ in range(5):
            model(torch.zeros(1, 1, 6, 6))
    assert heard == [(0.25, "a 50%"), *[(0.5, "a 100%")] * 4]


def test_attacks_that_do_not_say_how_long_they_are_are_not_told():
    model = network(3)
    with paced(model, {"a": lambda x, labels: x}, "a", lambda *said: pytest.fail("It was told.")):
        model(torch.zeros(1, 1, 6, 6))
