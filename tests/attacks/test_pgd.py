"""Laws of projected gradient descent on networks whose optimum is known."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from pag.attacks.harness import attack_block
from pag.attacks.pgd import PGD, step_size
from pag.attacks.restarted_pgd import RestartedPGD
from pag.attacks.threats import NORMS, Threat
from pag.base.errors import InputError
from pag.base.randomness import torch_stream


def network(inputs, outputs, *, hidden=None, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Flatten(), nn.Linear(inputs, hidden or outputs)]
        layers += [] if hidden is None else [nn.Tanh(), nn.Linear(hidden, outputs)]
        return nn.Sequential(*layers).double().eval()


def examples(*shape, index=0):
    generator = torch_stream(0, "test", index)
    x = torch.rand(shape, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, shape[:1], generator=generator)


def loss(model, x, labels):
    with torch.no_grad():
        return functional.cross_entropy(model(x), labels, reduction="none")


@pytest.mark.parametrize("norm", list(NORMS))
@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("targeted", [False, True])
def test_attack_stays_in_the_ball_and_the_bounds(norm, bounds, random_start, targeted):
    model, (x, labels) = network(12, 3, hidden=8), examples(10, 3, 2, 2)
    threat = Threat(norm, 0.4)
    x_adv = PGD(threat, 5, 0.3, random_start, bounds, targeted)(model, x, labels, torch_stream(0, "start"))
    assert x_adv.shape == x.shape
    assert not x_adv.requires_grad
    assert (threat.size(x_adv - x) <= 0.4 + 1e-12).all()
    assert (threat.size(x_adv - x) > 0.01).all()
    if bounds is not None:
        assert x_adv.min() >= 0
        assert x_adv.max() <= 1
    else:
        assert x_adv.min() < 0  # it does leave the pixels' range where nothing holds it


@pytest.mark.parametrize("norm", list(NORMS))
def test_untargeted_attack_finds_the_optimum_of_a_linear_two_class_model(norm):
    # The loss grows with the other class's logit minus the own: the optimum is one step of size ε along that weight vector.
    model = network(6, 2)
    x, _ = examples(8, 6)
    labels = torch.arange(8) % 2
    weight = model[1].weight.detach()
    direction = weight[1 - labels] - weight[labels]
    threat = Threat(norm, 0.5)
    x_adv = PGD(threat, 10, 0.2, random_start=True, bounds=None)(model, x, labels, torch_stream(0, "start"))
    optimum = {"linf": direction.sign(), "l2": direction / direction.norm(dim=1, keepdim=True)}[norm]
    achieved, best = ((d * direction).sum(1) for d in (x_adv - x, 0.5 * optimum))
    assert (achieved >= 0.99 * best).all()
    assert (loss(model, x_adv, labels) > loss(model, x, labels)).all()


@pytest.mark.parametrize("norm", list(NORMS))
def test_targeted_attack_of_large_radius_reaches_its_classes(norm):
    model, (x, _) = network(6, 3, hidden=16), examples(9, 6)
    wanted = torch.arange(9) % 3
    x_adv = PGD(Threat(norm, 20.0), 60, 1.0, random_start=False, bounds=None, targeted=True)(model, x, wanted)
    assert (loss(model, x_adv, wanted) < loss(model, x, wanted)).all()
    assert torch.equal(model(x_adv).argmax(1), wanted)


def test_an_examples_attack_does_not_depend_on_its_batch():
    model, (x, labels) = network(6, 3, hidden=8), examples(5, 6)
    attack = PGD(Threat("l2", 0.5), 7, 0.1, random_start=False)
    alone = torch.cat([attack(model, x[i : i + 1], labels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(attack(model, x, labels), alone)


@pytest.mark.parametrize("training", [False, True])
def test_model_is_left_as_it_was(training):
    model, (x, labels) = network(6, 3), examples(5, 6)
    model.train(training)
    with torch.no_grad():  # the attack differentiates all the same
        x_adv = PGD(Threat("linf", 0.1), 3, 0.05, random_start=False)(model, x, labels)
    assert not torch.equal(x_adv, x)
    assert model.training is training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_a_constant_model_moves_nothing():
    model, (x, labels) = network(6, 3), examples(5, 6)
    nn.init.zeros_(model[1].weight)
    assert torch.equal(PGD(Threat("l2", 0.1), 3, 0.05, random_start=False)(model, x, labels), x)


@pytest.mark.parametrize("norm", list(NORMS))
def test_divergence_attack_moves_the_prediction_and_asks_for_no_label(norm):
    model, (x, labels) = network(12, 3, hidden=8), examples(10, 3, 2, 2)
    attack = PGD(Threat(norm, 0.4), 10, 0.1, random_start=True, loss="kl", start_std=1e-3)
    x_adv, again = (attack(model, x, y, torch_stream(0, "start")) for y in (labels, 2 - labels))
    assert torch.equal(x_adv, again)
    assert (Threat(norm, 0.4).size(x_adv - x) <= 0.4 + 1e-12).all()
    with torch.no_grad():
        p, q, near = (model(points).log_softmax(1) for points in (x, x_adv, x + 1e-3))
    divergence, of_start = ((p.exp() * (p - other)).sum(1) for other in (q, near))
    assert (divergence > 100 * of_start.clamp_min(1e-9)).all()


@pytest.mark.parametrize("norm", list(NORMS))
def test_normal_start_has_its_spread_and_stays_in_the_ball(norm):
    model, (x, labels) = network(1000, 3), (torch.full((20, 1000), 0.5, dtype=torch.float64), torch.zeros(20).long())
    nn.init.zeros_(model[1].weight)  # a constant model: the attack stays where it started
    for eps in (100.0, 0.0015):
        attack = PGD(Threat(norm, eps), 1, 0.1, random_start=True, start_std=1e-3)
        delta = attack(model, x, labels, torch_stream(0, "start")) - x
        assert (Threat(norm, eps).size(delta) <= eps + 1e-12).all()
        if eps == 100.0:
            assert delta.std().item() == pytest.approx(1e-3, rel=0.05)


def test_divergence_without_a_random_start_or_with_a_target_is_refused():
    for options in ({"random_start": False}, {"random_start": True, "targeted": True}):
        with pytest.raises(InputError, match="divergence"):
            PGD(Threat("l2", 1.0), 3, 0.1, loss="kl", **options)


def test_impossible_numbers_are_refused():
    threat = Threat("l2", 1.0)
    for steps, size, bounds in [(0, 0.1, None), (1, 0.0, None), (1, math.nan, None), (1, 0.1, (1.0, 0.0))]:
        with pytest.raises(InputError):
            PGD(threat, steps, size, random_start=False, bounds=bounds)
    with pytest.raises(InputError):
        PGD(threat, 1, 0.1, random_start=True, start_std=0.0)


def test_margin_attack_works_where_the_cross_entropy_has_no_gradient():
    """Logits scaled up until the softmax saturates in float32: cross-entropy gives zero gradients, the margin does not."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(6, 3, bias=False)

    def sure(x):
        return 1e4 * linear(x)

    x = torch.rand(64, 6)
    labels = linear(x).argmax(1)
    attacks = {
        loss: PGD(Threat("linf", 0.5), steps=10, step_size=0.1, random_start=False, loss=loss)
        for loss in ("cross_entropy", "margin")
    }
    left = {
        loss: float((sure(attack(sure, x, labels)).argmax(1) == labels).float().mean())
        for loss, attack in attacks.items()
    }
    assert left["margin"] < 0.2 < 0.8 < left["cross_entropy"]


class Calls(nn.Module):
    """Counts the examples that a model is shown."""

    def __init__(self, model):
        super().__init__()
        self.model, self.shown = model, []

    def forward(self, x):
        self.shown.append(len(x))
        return self.model(x)


@pytest.mark.parametrize("targeted", [False, True])
def test_one_start_is_plain_pgd(targeted):
    model, (x, labels) = network(6, 3, hidden=8), examples(9, 6)
    attack = PGD(Threat("l2", 0.3), 3, 0.1, random_start=True, targeted=targeted)
    plain = attack(model, x, labels, torch_stream(0, "start"))
    assert torch.equal(RestartedPGD(attack, 1)(model, x, labels, torch_stream(0, "start")), plain)


@pytest.mark.parametrize("norm", list(NORMS))
@pytest.mark.parametrize("targeted", [False, True])
def test_each_further_start_keeps_what_was_found_and_stays_in_the_ball(norm, targeted):
    model, (x, _) = network(6, 3, hidden=8), examples(60, 6)
    with torch.no_grad():
        model[-1].bias -= model(x).mean(dim=0)  # so that every class is predicted
        labels = model(x).argsort(dim=1, descending=True)[:, int(targeted)]
    threat = Threat(norm, 0.35)
    attack = PGD(threat, 1, 0.02, random_start=True, targeted=targeted)
    found_before, before = torch.zeros(60, dtype=torch.bool), None
    counts = []
    for restarts in (1, 2, 4, 8):
        x_adv = RestartedPGD(attack, restarts)(model, x, labels, torch_stream(0, "start"))
        found = (model(x_adv).argmax(1) == labels) == targeted
        assert (threat.size(x_adv - x) <= 0.35 + 1e-12).all()
        assert not (found_before & ~found).any()
        if before is not None:
            assert torch.equal(x_adv[found_before], before[found_before])
        found_before, before = found, x_adv
        counts.append(int(found.sum()))
    assert counts[0] < counts[-1] < 60


def test_found_examples_are_not_attacked_again():
    model, (x, labels) = Calls(network(6, 3)), examples(5, 6)
    easy = RestartedPGD(PGD(Threat("l2", 50.0), 1, 50.0, random_start=True, bounds=None, loss="margin"), 5)
    easy(model, x, labels, torch_stream(0, "start"))
    assert model.shown == [5, 5]  # one step, one look


def test_impossible_restarts_are_refused():
    attack = PGD(Threat("l2", 1.0), 1, 0.1, random_start=False)
    for restarts in (0, 2):
        with pytest.raises(InputError, match="start"):
            RestartedPGD(attack, restarts)


def test_restarts_on_a_block_begin_with_those_of_fewer_and_follow_the_seed():
    model, (x, _) = network(6, 3, hidden=8).float(), examples(12, 6)
    x = x.float()
    with torch.no_grad():
        model[-1].bias -= model(x).mean(dim=0)  # so that every class is predicted
        labels = model(x).argmax(1)
    attack = PGD(Threat("l2", 0.5), 2, 0.25, random_start=True, loss="margin")
    few, more, other = (
        attack_block(RestartedPGD(attack, restarts), model, x, labels, seed)
        for restarts, seed in ((1, 3), (4, 3), (1, 4))
    )
    found = few.clean & ~few.robust["pgd"]
    assert found.any()
    assert torch.equal(few.x_adv[found], more.x_adv[found])
    assert not torch.equal(few.x_adv, other.x_adv)
    assert RestartedPGD(attack, 1).stream == RestartedPGD(attack, 4).stream == "PGD l2 0.5"


def test_a_relative_step_of_one_reaches_the_surface():
    assert step_size(1.0, 0.5, 4) * 4 == 0.5
    assert step_size(2.5, 8 / 255, 10) == 2.5 * (8 / 255) / 10
