"""Laws of the toy experiment (section 5.1): its data, its targets, its ensembles."""

import pytest
import torch

from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.optimization.loop import Run
from pag.toy.data import MODES, nearest_neighbors, sample_points
from pag.toy.networks import MLPEnsemble
from pag.toy.training import ToyAlignment, ToyRecipe, train_toy

ADAM = {"name": "adam", "lr": 0.01}


def test_points_lie_on_the_line_around_balanced_modes():
    x, labels = sample_points(600, torch_stream(0, "toy"))
    assert torch.equal(x[:, 1], 2 * x[:, 0])
    assert labels.bincount().tolist() == [300, 300]
    for c, centres in enumerate(MODES):
        nearest = (x[labels == c, :1] - torch.tensor(centres)).abs().min(dim=1)
        assert nearest.indices.bincount().tolist() == [100, 100, 100]
        assert nearest.values.max() < 6
    with pytest.raises(InputError, match="multiple of 6"):
        sample_points(7, torch_stream(0, "toy"))


def test_targets_point_to_the_nearest_other_member_of_the_pool():
    x, labels = sample_points(60, torch_stream(0, "toy"))
    x = torch.cat([x, x[:1]])  # a duplicate: neither is the other's neighbour
    labels = torch.cat([labels, labels[:1]])
    g = nearest_neighbors(x, labels, 1000, torch_stream(0, "pool"))
    for i in (0, 7, 41, 60):
        for c in range(2):
            others = [p for p in x[labels == c] if not torch.equal(p, x[i])]
            nearest = min(others, key=lambda p: float((p - x[i]).norm()))
            torch.testing.assert_close(g[i, c], nearest - x[i])


def test_ensemble_is_its_members_side_by_side():
    streams = [torch_stream(0, "weights", e) for e in range(3)]
    ensemble = MLPEnsemble((2, 8, 2), streams)
    x = torch.randn(3 * 5, 2)
    logits = ensemble(x).reshape(3, 5, 2)
    for e in range(3):
        h = torch.relu(x[5 * e : 5 * e + 5] @ ensemble.weight1[e] + ensemble.bias1[e])
        torch.testing.assert_close(logits[e], h @ ensemble.weight2[e] + ensemble.bias2[e])


RECIPE = {"points": 60, "widths": (2, 8, 2), "epochs": 2, "batch_size": 16, "optimizer": ADAM}


def train(pairs, weight=0.5):
    return train_toy(ToyRecipe(pairs=pairs, **RECIPE), ToyAlignment(weight, "logit", pool_per_class=4), Run(5, "toy"))


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def alone(pair, weight):
    """One network by the equations: eq. (4) over all classes, or cross-entropy, and Adam."""
    x, labels = sample_points(60, torch_stream(5, "toy train", pair))
    g = nearest_neighbors(x, labels, 4, torch_stream(5, "toy pool", pair))
    network = MLPEnsemble((2, 8, 2), [torch_stream(5, "toy weights", pair)])
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for epoch in range(2):
        order = torch.randperm(60, generator=torch_stream(5, "toy order", pair, epoch))
        for rows in order.split(16):
            points = x[rows].requires_grad_()
            logits = network(points)
            loss = torch.nn.functional.cross_entropy(logits, labels[rows])
            for c in range(2) if weight else ():
                (v,) = torch.autograd.grad(logits[:, c].sum(), points, create_graph=True)
                loss = loss + weight * (1 - torch.cosine_similarity(v, g[rows, c], dim=1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.state_dict()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("kind", "weight"), [("vanilla", 0.0), ("aligned", 0.5)])
def test_each_network_is_what_it_would_be_alone(kind, weight):
    """To float64's rounding: a few 10⁻¹⁶ a step, relative to the largest weight."""
    together = train(3)[kind].state_dict()
    for pair in range(3):
        for name, expected in alone(pair, weight).items():
            assert (together[name][pair] - expected[0]).abs().max() <= 1e-12 * expected.abs().max()
    assert not torch.allclose(together["weight1"][0], together["weight1"][1])


@pytest.mark.parametrize("kind", ["vanilla", "aligned"])
def test_a_network_does_not_depend_on_how_many_are_trained_beside_it(kind):
    one, three = train(1)[kind], train(3)[kind]
    for name, weights in one.state_dict().items():
        torch.testing.assert_close(weights[0], three.state_dict()[name][0], rtol=1e-4, atol=1e-5)


def test_alignment_moves_none_of_the_networks_without_it():
    weak, strong = train(2, 0.1), train(2, 5.0)
    for name, weights in weak["vanilla"].state_dict().items():
        assert torch.equal(weights, strong["vanilla"].state_dict()[name])
    assert not torch.equal(weak["aligned"].weight1, strong["aligned"].weight1)
