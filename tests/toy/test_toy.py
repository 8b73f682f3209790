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


def train(pairs, alignment):
    return train_toy(ToyRecipe(pairs, 60, (2, 8, 2), 2, 16, ADAM), alignment, Run(5, "toy"))


@pytest.mark.parametrize("alignment", [None, ToyAlignment(0.5, "logit", pool_per_class=4)], ids=["vanilla", "aligned"])
def test_a_network_does_not_depend_on_how_many_are_trained_beside_it(alignment):
    one, three = train(1, alignment), train(3, alignment)
    for name, weights in one.state_dict().items():
        torch.testing.assert_close(weights[0], three.state_dict()[name][0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(three.weight1[0], three.weight1[1])
