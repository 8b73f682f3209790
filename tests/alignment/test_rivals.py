"""Laws of rivals: draws from the softmax without the own class, with and without replacement, and margins over them."""

import itertools

import pytest
import torch
from torch.nn import functional

from pag.alignment.rivals import barred, gumbel, margins_over, rivals
from pag.base.randomness import torch_stream

N, C = 40_000, 5
LOGITS = torch.tensor([2.0, -1.0, 0.5, 3.0, 1.0], dtype=torch.float64)


def _drawn(k, temperature=2.0, label=3, allowed=range(C)):
    logits, labels = LOGITS.expand(N, C), torch.full((N,), label)
    noise = barred(gumbel(logits, C, torch_stream(0, "rivals")), labels, torch.tensor(list(allowed)).expand(N, -1))
    return rivals(logits, noise, temperature, k)


def _probabilities(temperature, without):
    logits = LOGITS / temperature
    logits[list(without)] = -torch.inf
    return functional.softmax(logits, dim=0)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("without", [(3,), (3, 0), (0, 1, 3)])
def test_one_rival_is_drawn_with_the_networks_probabilities(temperature, without):
    drawn = _drawn(1, temperature, allowed={*range(C)} - {*without} | {3})
    frequency = drawn.flatten().bincount(minlength=C) / N
    torch.testing.assert_close(frequency.double(), _probabilities(temperature, without), atol=0.01, rtol=0)


def test_several_rivals_are_drawn_without_replacement():
    drawn = _drawn(2)
    for first, second in itertools.permutations([0, 1, 2, 4], 2):
        of_first, of_second = _probabilities(2.0, (3,))[first], _probabilities(2.0, (3, first))[second]
        frequency = ((drawn[:, 0] == first) & (drawn[:, 1] == second)).double().mean()
        torch.testing.assert_close(frequency, of_first * of_second, atol=0.01, rtol=0)


def test_all_other_classes_are_rivals_where_as_many_are_drawn():
    assert torch.equal(_drawn(4).sort(dim=1).values, torch.tensor([0, 1, 2, 4]).expand(N, 4))


def test_margin_is_positive_where_the_label_wins():
    margins = margins_over(LOGITS.expand(2, C), torch.tensor([3, 1]), torch.tensor([[0, 4], [0, 2]]))
    assert margins.tolist() == [[1.0, 2.0], [-3.0, -1.5]]
