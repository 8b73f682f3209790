"""Laws of the objectives: eq. (4) by its definition, k of C in expectation, AT and TRADES against their attacks, sums of both."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.training.network import EagerNetwork
from pag.training.objectives import AdversarialTraining, Alignment, Batch, CrossEntropy, Ramp, Trades, draw_classes

C, D, B = 4, 6, 5
ATTACKS = {
    norm: PGD(Threat(norm, 0.3), steps=3, step_size=0.15, random_start=True, loss="kl", start_std=1e-3)
    for norm in ("l2", "linf")
}
BASES = {
    "cross_entropy": CrossEntropy(),
    "adversarial": AdversarialTraining(PGD(Threat("l2", 0.5), steps=2, step_size=0.2, random_start=True)),
    "trades": Trades(ATTACKS["linf"], 6.0),
}


@pytest.fixture
def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(D, 8), nn.SiLU(), nn.Linear(8, C)).double()


@pytest.fixture
def network(model):
    return EagerNetwork(model)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(B, 1, 2, 3, generator=generator, dtype=torch.float64)
    targets = torch.randn(B, C, 1, 2, 3, generator=generator, dtype=torch.float64)
    return x, torch.randint(C, (B,), generator=generator), targets


def _by_definition(model, x, labels, targets, weight, of):
    """Eq. (4), example by example and class by class."""
    total = 0.0
    for i in range(B):
        point = x[i : i + 1].clone().requires_grad_()
        logits = model(point)
        outputs = logits if of == "logit" else logits.log_softmax(1)
        for c in range(C):
            (v,) = torch.autograd.grad(outputs[0, c], point, create_graph=True)
            total = total + weight * (1 - functional.cosine_similarity(v.flatten(), targets[i, c].flatten(), dim=0))
        total = total + functional.cross_entropy(logits, labels[i : i + 1])
    return total / B


@pytest.mark.parametrize("of", ["logit", "log_softmax"])
def test_all_classes_are_equation_4_exactly(model, network, data, of):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), targets)
    loss = Alignment(0.7, C, of)(network, batch, torch.Generator())["loss"]
    expected = _by_definition(model, x, labels, targets, 0.7, of)
    torch.testing.assert_close(loss, expected)
    actual_gradients = torch.autograd.grad(loss, list(model.parameters()))
    expected_gradients = torch.autograd.grad(expected, list(model.parameters()))
    for actual, wanted in zip(actual_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(actual, wanted)


def _alignment_of(classes, scale, network, data):
    """The alignment term alone, with these classes for all images."""
    x, labels, targets = data
    batch = Batch(x, labels, torch.tensor(list(classes)).expand(B, len(classes)), targets[:, list(classes)])
    parts = Alignment(0.7, C, "logit", classes_scale=scale)(network, batch, torch.Generator())
    return parts["loss"] - parts["cross_entropy"]


@pytest.mark.parametrize("k", range(1, C + 1))
def test_k_of_c_classes_average_to_all_classes_where_their_sum_is_scaled(network, data, k):
    whole = _alignment_of(range(C), "expectation", network, data)
    draws = list(itertools.combinations(range(C), k))
    scaled = torch.stack([_alignment_of(draw, "expectation", network, data) for draw in draws])
    torch.testing.assert_close(scaled.mean(), whole)
    as_drawn = torch.stack([_alignment_of(draw, "drawn", network, data) for draw in draws])
    torch.testing.assert_close(as_drawn, scaled * k / C)


def test_the_sum_over_drawn_classes_is_that_of_each_alone(network, data):
    alone = sum(_alignment_of([c], "drawn", network, data) for c in (0, 2, 3))
    torch.testing.assert_close(_alignment_of([0, 2, 3], "drawn", network, data), alone)


def test_alignment_ignores_the_scale_of_targets(network, data):
    x, labels, targets = data
    classes = torch.arange(C).expand(B, C)
    objective = Alignment(1.0, C, "log_softmax")
    once = objective(network, Batch(x, labels, classes, targets), torch.Generator())["loss"]
    scaled = objective(network, Batch(x, labels, classes, 1e3 * targets), torch.Generator())["loss"]
    torch.testing.assert_close(once, scaled)


def test_a_zero_target_gives_finite_parameter_gradients(model, network, data):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), torch.zeros_like(targets))
    loss = Alignment(1.0, C, "logit")(network, batch, torch.Generator())["loss"]
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, list(model.parameters())))


def test_lambda_zero_is_cross_entropy(network, data):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), targets)
    aligned = Alignment(0.0, C, "logit")(network, batch, torch.Generator())["loss"]
    torch.testing.assert_close(aligned, CrossEntropy()(network, batch, torch.Generator())["loss"])


def test_every_parameter_gets_a_gradient_from_alignment_of_log_softmax(model, network, data):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), targets)
    Alignment(1.0, C, "log_softmax")(network, batch, torch.Generator())["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_adversarial_training_is_cross_entropy_at_the_attacks_points(model, network, data):
    x, labels, _ = data
    attack = PGD(Threat("l2", 0.5), steps=3, step_size=0.2, random_start=True)
    model.train()
    loss = AdversarialTraining(attack)(network, Batch(x, labels), torch.Generator().manual_seed(3))["loss"]
    x_adv = attack(model, x, labels, torch.Generator().manual_seed(3))
    torch.testing.assert_close(loss, functional.cross_entropy(model(x_adv), labels))
    assert model.training
    assert loss > functional.cross_entropy(model(x), labels)


def _gradients(loss, model):
    return torch.autograd.grad(loss, list(model.parameters()))


def _stream():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("norm", ATTACKS)
def test_trades_is_cross_entropy_plus_beta_times_the_divergence(model, network, data, norm):
    x, labels, _ = data
    parts = Trades(ATTACKS[norm], 6.0)(network, Batch(x, labels), _stream())
    x_adv = ATTACKS[norm](model, x, labels, _stream())
    log_p, log_q = model(x).log_softmax(1), model(x_adv).log_softmax(1)
    kl = (log_p.exp() * (log_p - log_q)).sum(1).mean()
    expected = functional.cross_entropy(model(x), labels) + 6.0 * kl
    torch.testing.assert_close(parts["loss"], expected)
    torch.testing.assert_close(parts["kl"], kl)
    assert parts["kl"] > 1e-4
    for actual, wanted in zip(_gradients(parts["loss"], model), _gradients(expected, model), strict=True):
        torch.testing.assert_close(actual, wanted)  # through the prediction at x too, not only through that at x_adv


def test_trades_updates_running_statistics_by_x_and_by_the_adversarial_examples(data):
    x, labels, _ = data
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(D, momentum=0.5), nn.Linear(D, C)).double().train()
    expected = copy.deepcopy(model)
    x_adv = EagerNetwork(expected).perturbed(ATTACKS["linf"], x, labels, _stream())
    Trades(ATTACKS["linf"], 6.0)(EagerNetwork(model), Batch(x, labels), _stream())
    expected(x), expected(x_adv)
    assert model[1].num_batches_tracked == 2
    for actual, wanted in zip(model.buffers(), expected.buffers(), strict=True):
        torch.testing.assert_close(actual, wanted)


def test_trades_without_beta_is_cross_entropy(model, network, data):
    x, labels, _ = data
    losses = [
        objective(network, Batch(x, labels), _stream())["loss"]
        for objective in (Trades(ATTACKS["l2"], 0.0), CrossEntropy())
    ]
    assert losses[0] == losses[1]
    for actual, wanted in zip(*(_gradients(loss, model) for loss in losses), strict=True):
        assert torch.equal(actual, wanted)


def test_divergence_vanishes_at_the_example_itself_and_grows_with_the_radius(network, data):
    x, labels, _ = data
    divergences = []
    for eps in (1e-9, 0.05, 0.1, 0.2):
        attack = PGD(Threat("linf", eps), steps=5, step_size=eps / 2, random_start=True, loss="kl")
        divergences.append(float(Trades(attack, 1.0)(network, Batch(x, labels), _stream())["kl"].detach()))
    assert divergences[0] == pytest.approx(0, abs=1e-12)
    assert divergences == sorted(divergences)


@pytest.mark.parametrize("base", BASES)
def test_alignment_adds_its_term_to_any_base(network, data, base):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), targets)
    plain = BASES[base](network, batch, _stream())
    aligned = Alignment(0.7, C, "log_softmax", BASES[base])(network, batch, _stream())
    torch.testing.assert_close(aligned["loss"], plain["loss"] + 0.7 * C * (1 - aligned["cosine"]))
    assert aligned.keys() == {*plain, "cosine"}
    assert not any(aligned[name].requires_grad for name in aligned if name != "loss")


@pytest.mark.parametrize("base", BASES)
def test_lambda_zero_has_the_gradient_of_its_base(model, network, data, base):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), targets)
    losses = [
        o(network, batch, _stream())["loss"] for o in (Alignment(0.0, C, "log_softmax", BASES[base]), BASES[base])
    ]
    for actual, wanted in zip(*(_gradients(loss, model) for loss in losses), strict=True):
        assert torch.equal(actual, wanted)


@pytest.mark.parametrize(("base", "passes"), [("cross_entropy", 1), ("adversarial", 2), ("trades", 2)])
def test_base_shares_the_forward_pass_of_the_gradients(model, network, data, base, passes):
    """Passes in training mode: attacks, which run in evaluation mode, are not counted."""
    x, labels, targets = data
    count = []
    model.train()
    model.register_forward_hook(lambda *_: count.append(model.training))
    Alignment(1.0, C, "logit", BASES[base])(network, Batch(x, labels, labels[:, None], targets[:, :1]), _stream())
    assert sum(count) == passes


@pytest.mark.parametrize("base", ["adversarial", "trades"])
def test_attack_sees_evaluation_mode_and_leaves_each_layer_its_own(model, data, base):
    x, labels, _ = data
    mixed = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(D), nn.Dropout(0.5), *list(model)[1:]).double().train()
    mixed[1].eval()  # statistics frozen
    seen = []
    mixed.register_forward_hook(lambda *_: seen.append([layer.training for layer in mixed]))
    BASES[base](EagerNetwork(mixed), Batch(x, labels), _stream())
    assert seen[0] == [False] * len(mixed)
    assert seen[-1] == [layer.training for layer in mixed] == [True, False, *[True] * (len(mixed) - 2)]


def test_ramp_takes_its_factor_of_lambda_up_to_its_point(network, data):
    x, labels, targets = data
    weights = []
    for step in range(10):
        batch = Batch(x, labels, torch.arange(C).expand(B, C), targets, progress=step / 10)
        parts = Alignment(3.0, C, "logit", ramp=Ramp(until=0.3, factor=2 / 3))(network, batch, _stream())
        weights.append(float(((parts["loss"] - parts["cross_entropy"]) / (C * (1 - parts["cosine"]))).detach()))
    assert weights == pytest.approx([2.0] * 3 + [3.0] * 7)


def test_shared_classes_are_one_uniform_draw_for_the_batch():
    generator = _stream()
    draws = [draw_classes(7, 5, 2, generator, shared=True) for _ in range(2000)]
    subsets = [classes.sort(dim=1).values for classes in draws]
    assert all((subset == subset[0]).all() and subset.shape == (7, 2) for subset in subsets)
    first = torch.stack([classes[0] for classes in draws])
    assert (first[:, 0] != first[:, 1]).all()
    frequency = torch.bincount(first.flatten(), minlength=5) / first.numel()
    torch.testing.assert_close(frequency, torch.full((5,), 0.2), atol=0.03, rtol=0)


def test_drawn_classes_are_distinct_and_uniform():
    classes = draw_classes(6000, 5, 2, torch.Generator().manual_seed(0))
    assert (classes[:, 0] != classes[:, 1]).all()
    frequency = torch.bincount(classes.flatten(), minlength=5) / classes.numel()
    torch.testing.assert_close(frequency, torch.full((5,), 0.2), atol=0.02, rtol=0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("k", [5, 7])
def test_all_classes_come_in_an_order_of_each_images_own(k, shared):
    classes = draw_classes(6000, 5, k, torch.Generator().manual_seed(0), shared)
    assert torch.equal(classes.sort(dim=1).values, torch.arange(5).expand(6000, 5))
    frequency = torch.stack([column.bincount(minlength=5) for column in classes.T]) / len(classes)
    torch.testing.assert_close(frequency, torch.full((5, 5), 0.2), atol=0.02, rtol=0)
