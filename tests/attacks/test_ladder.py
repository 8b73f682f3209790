"""Laws of attacks at ascending ε as one: each attacks who withstood the smaller ones, in its own ball, and keeps its pace."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.harness import attack_block
from pag.attacks.ladder import Ladder
from pag.attacks.pace import Paced
from pag.attacks.pgd import PGD
from pag.attacks.restarted_pgd import RestartedPGD
from pag.attacks.threats import Threat

EPSILONS = (0.02, 0.05, 0.1, 0.3)


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.SiLU(), nn.Linear(16, 4)).eval()


@pytest.fixture
def x():
    return torch.rand(24, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def labels_of(model, x):
    with torch.no_grad():
        return model(x).argmax(1)


def pgd(eps):
    return RestartedPGD(PGD(Threat("linf", eps), 5, eps / 2, random_start=True), 2)


def test_each_rung_is_the_attack_on_those_who_withstood_the_rungs_before(model, x):
    labels, ladder = labels_of(model, x), Ladder(tuple(map(pgd, EPSILONS)))
    found = ladder.by_rung(attack_block(ladder, model, x, labels, seed=3).robust)
    assert len(found) == len(EPSILONS)
    left = torch.arange(len(x))
    for eps, withstood in zip(EPSILONS, found, strict=True):
        alone = attack_block(pgd(eps), model, x[left], labels[left], seed=3).robust["pgd"]
        left = left[alone]
        assert torch.equal(withstood.nonzero().flatten(), left)
    counts = [int(flags.sum()) for flags in found]
    assert len(x) > min(counts)  # some fall
    assert len(set(counts)) > 2  # at several ε


def test_of_attacks_of_several_parts_the_last_one_counts():
    ladder = Ladder(tuple(AutoAttack(Threat("linf", eps)) for eps in (0.1, 0.2)))
    names = [f"ε = {eps} {part}" for eps in (0.1, 0.2) for part in ("apgd-ce", "apgd-t", "fab-t", "square")]
    assert ladder.by_rung({name: number for number, name in enumerate(names)}) == [3, 7]
    of_words = [name.replace("-", " ") for name in names]
    assert ladder.by_rung({name: number for number, name in enumerate(of_words)}) == [3, 7]


def test_parts_keep_their_names_and_their_pace(model, x):
    rungs = tuple(AutoAttack(Threat("l2", eps), ("apgd-ce", "square")) for eps in (0.1, 0.2))
    parts = Ladder(rungs).parts(model, x, 4, seed=0)
    assert list(parts) == ["ε = 0.1 apgd-ce", "ε = 0.1 square", "ε = 0.2 apgd-ce", "ε = 0.2 square"]
    alone = rungs[0].parts(model, x, 4, seed=0)
    assert all(isinstance(part, Paced) for part in parts.values())
    assert [part.passes for part in parts.values()] == 2 * [part.passes for part in alone.values()]


@dataclass(frozen=True)
class Leaving:
    """An attack that goes beyond its ε."""

    threat: Threat
    title = "Leaving"
    stream = "leaving"

    def parts(self, model, x, num_classes, seed):
        return {"leave": lambda images, labels: images + 1.5 * self.threat.eps * (images < 0.5)}


def test_an_attack_is_held_to_its_own_ball_and_not_to_the_largest(model, x):
    ladder = Ladder((Leaving(Threat("linf", 0.1)), pgd(0.3)))
    with pytest.raises(RuntimeError, match=r"Leaving left its ball: a perturbation of size 0\.15.*, and eps is 0\.1"):
        attack_block(ladder, model, x, labels_of(model, x), seed=0)
