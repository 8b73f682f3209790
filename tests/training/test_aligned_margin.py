"""Laws of the aligned margin: its definition, example by example; its parts and their switches; batch norm; and the two norms."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from pag.attacks.threats import Threat
from pag.training.network import EagerNetwork
from pag.training.objectives import AlignedMargin, Batch, StoredTargets

C, D, B = 5, 6, 4
EPS = {"l2": 0.4, "linf": 0.1}
FULL = AlignedMargin(Threat("l2", 0.4), 0.7, C, margin=1.3)


@dataclass
class Spy(EagerNetwork):
    """Keeps what the objective asks for: x', and the rivals there."""

    def __init__(self, model):
        super().__init__(model)
        self.x = self.rivals = None

    def margin_gradients(self, x, *arguments):
        found = super().margin_gradients(x, *arguments)
        self.x, self.rivals = x, found[2]
        return found


@pytest.fixture
def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(D, 8), nn.SiLU(), nn.Linear(8, C)).double()


def _batch(k=1, classes=C):
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(B, 1, 2, 3, generator=generator, dtype=torch.float64)
    targets = torch.randn(B, C, 1, 2, 3, generator=generator, dtype=torch.float64)
    labels, asked = torch.tensor([0, 1, 2, 0]), []

    def gather(of):
        asked.append(of)
        return targets[torch.arange(B)[:, None], of]

    stored = StoredTargets(torch.arange(classes).expand(B, classes), k, gather)
    return Batch(x, labels, stored=stored), targets, asked


def _stream():
    return torch.Generator().manual_seed(3)


def _draws():
    """The noise of the class of the path, and t: the first that are drawn."""
    generator = _stream()
    noise = torch.empty(B, C, dtype=torch.float64).exponential_(generator=generator).log().neg()
    return noise, torch.rand(B, generator=generator, dtype=torch.float64)


def _moved(x, g, t, norm):
    u = {"l2": lambda: g / g.norm(), "linf": g.sign}[norm]()
    return (x + t * EPS[norm] * u).clamp(0, 1)


def _loss_of(model, x, label, g, rivals, t, objective):
    """The loss of one example at x' with these rivals, as the equations have it."""
    norm, eps = objective.threat.norm, objective.threat.eps
    x = x.clone().requires_grad_()
    logits = model(x[None])[0]
    loss = -logits.log_softmax(0)[label]
    for c in rivals:
        margin = logits[label] - logits[c]
        (v,) = torch.autograd.grad(margin, x, create_graph=True)
        wanted = g[c] if norm == "l2" else g[c] * g[c].abs()
        cosine = functional.cosine_similarity(-v.flatten(), wanted.flatten(), dim=0)
        size = v.norm() if norm == "l2" else v.abs().sum()
        term = functional.softplus(-margin + (1 - t) * eps * size)
        loss = loss + (objective.weight * C * (1 - cosine) + objective.margin * term) / len(rivals)
    return loss


def _gradients(loss, model):
    return torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("path", ["stored", "none"])
@pytest.mark.parametrize(("weight", "margin", "k"), [(0.7, 1.3, 1), (0.7, 1.3, 3), (0.7, 0.0, 1), (0.0, 1.3, 2)])
def test_value_and_gradient_are_those_of_its_definition(model, norm, path, weight, margin, k):
    objective = AlignedMargin(Threat(norm, EPS[norm]), weight, C, margin, path)
    (batch, targets, asked), network = _batch(k), Spy(model)
    parts = objective(network, batch, _stream())
    noise, t = _draws()
    if path == "none":
        t = torch.zeros(B, dtype=torch.float64)
    losses = []
    for i, label in enumerate(batch.labels):
        x = batch.x[i]
        if path == "stored":
            scores = model(x[None])[0] / 2 + noise[i]
            scores[label] = -torch.inf
            assert asked[0][i] == scores.argmax()
            x = _moved(x, targets[i, scores.argmax()], t[i], norm)
        torch.testing.assert_close(network.x[i], x)
        losses.append(_loss_of(model, x, label, targets[i], network.rivals[i], t[i], objective))
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(parts["loss"], expected)
    for actual, wanted in zip(_gradients(parts["loss"], model), _gradients(expected, model), strict=True):
        torch.testing.assert_close(actual, wanted)


def test_rivals_are_other_classes_that_there_are_targets_of(model):
    batch, _, asked = _batch(k=3, classes=4)
    FULL(EagerNetwork(model), batch, _stream())
    of_path, of_margin = asked
    assert (of_path.shape, of_margin.shape) == ((B, 1), (B, 3))
    for label, classes in zip(batch.labels.tolist(), of_margin.tolist(), strict=True):
        assert sorted(classes) == [c for c in range(4) if c != label]
    assert (of_path < 4).all()
    assert (of_path[:, 0] != batch.labels).all()


def test_rivals_follow_the_networks_probabilities_at_the_moved_image(model):
    """A network so sure of its second choice that chance has no say."""
    with torch.no_grad():
        model[3].weight.mul_(1e4)
    network = Spy(model)
    batch, _, asked = _batch()
    FULL(network, batch, _stream())
    for x, classes in ((batch.x, asked[0]), (network.x, network.rivals)):
        logits = model(x).scatter(1, batch.labels[:, None], -torch.inf)
        assert torch.equal(classes[:, 0], logits.argmax(1))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_random_path_is_a_step_of_any_direction_within_the_budget(model, norm):
    objective, network = AlignedMargin(Threat(norm, EPS[norm]), 0.7, C, path="random"), Spy(model)
    batch, _, asked = _batch()
    inside = replace(batch, x=0.5 + 0 * batch.x)
    objective(network, inside, _stream())
    assert len(asked) == 1  # the targets of the alignment alone
    moved = network.x - inside.x
    torch.testing.assert_close(
        Threat(norm, 1).steepest(moved) * objective.threat.size(moved).reshape(B, 1, 1, 1), moved
    )
    assert (objective.threat.size(moved) <= EPS[norm]).all()
    assert len({float(size) for size in objective.threat.size(moved)}) == B


def test_without_path_alignment_and_margin_it_is_cross_entropy(model):
    batch, _, asked = _batch()
    objective = AlignedMargin(Threat("l2", 0.4), 0.0, C, margin=0.0, path="none")
    parts = objective(EagerNetwork(model), batch, _stream())
    assert torch.equal(parts["loss"], functional.cross_entropy(model(batch.x), batch.labels))
    assert not asked


def test_parts_are_logged_without_a_graph_and_make_up_the_loss(model):
    parts = FULL(EagerNetwork(model), _batch()[0], _stream())
    assert parts.keys() == {"loss", "cross_entropy", "cosine", "margin"}
    total = parts["cross_entropy"] + 0.7 * C * (1 - parts["cosine"]) + 1.3 * parts["margin"]
    torch.testing.assert_close(parts["loss"].detach(), total)
    assert [name for name, part in parts.items() if part.requires_grad] == ["loss"]


def test_the_same_stream_gives_the_same_loss_and_another_one_another(model):
    losses = [
        float(FULL(EagerNetwork(model), _batch()[0], torch.Generator().manual_seed(seed))["loss"].detach())
        for seed in (3, 3, 4)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_a_margin_without_gradient_gives_finite_parameter_gradients(model):
    with torch.no_grad():
        model[3].weight.zero_()
    for norm in EPS:
        loss = replace(FULL, threat=Threat(norm, 0.4))(EagerNetwork(model), _batch()[0], _stream())["loss"]
        assert all(g.isfinite().all() for g in _gradients(loss, model))


def test_batch_norm_sees_the_moved_images_alone_and_the_class_of_the_path_is_evaluation_modes():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(D, momentum=0.5), nn.Linear(D, 8), nn.SiLU(), nn.Linear(8, C))
    model.double().train()
    modes, network = [], Spy(model)
    model.register_forward_hook(lambda *_: modes.append(model[1].training))
    batch, _, _ = _batch()
    FULL(network, batch, _stream())
    assert modes == [False, True]
    assert model.training
    assert model[1].num_batches_tracked == 1
    torch.testing.assert_close(model[1].running_mean, 0.5 * network.x.flatten(1).mean(0))


def test_gradient_under_batch_norm_is_that_of_the_batchs_sum():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(D, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Linear(8, C)).double().train()
    network = Spy(model)
    batch, targets, _ = _batch()
    parts = FULL(network, batch, _stream())
    x, (_, t) = network.x.clone().requires_grad_(), _draws()
    logits, chosen, image = model(x), network.rivals[:, 0], torch.arange(B)
    margins = logits[image, batch.labels] - logits[image, chosen]
    (v,) = torch.autograd.grad(margins.sum(), x, create_graph=True)
    cosines = functional.cosine_similarity(-v.flatten(1), targets[image, chosen].flatten(1))
    softplus = functional.softplus(-margins + (1 - t) * 0.4 * v.flatten(1).norm(dim=1))
    expected = functional.cross_entropy(logits, batch.labels) + 0.7 * C * (1 - cosines.mean()) + 1.3 * softplus.mean()
    torch.testing.assert_close(parts["loss"], expected)
    for actual, wanted in zip(_gradients(parts["loss"], model), _gradients(expected, model), strict=True):
        torch.testing.assert_close(actual, wanted)
