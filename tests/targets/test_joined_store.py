"""Laws of two target stores behind one reader: each row has the targets of its own store, whatever stands beside it."""

import numpy as np
import pytest
import torch

from pag.base.errors import InputError
from pag.targets.gradient_store import create_gradients, write_shard
from pag.targets.heuristic_store import write_representatives
from pag.targets.joined_store import JoinedTargets
from pag.targets.kinds import open_targets

N, M, C, SHAPE = 6, 5, 4, (1, 3, 3)


def _gradients(path, count, classes=None):
    m = C if classes is None else classes.shape[1]
    create_gradients(path, (count, m, *SHAPE), count, classes=classes, num_classes=C)
    write_shard(path, 0, np.random.default_rng(count).normal(size=(count, m, *SHAPE)))
    return open_targets(path)


def _representatives(path, labels):
    values = np.random.default_rng(0).random((C, 3, 3, 1), dtype=np.float32)
    write_representatives(path, values, "own_class", labels)
    return open_targets(path)


@pytest.fixture(params=["gradients", "subsets", "representatives"])
def stores(request, tmp_path):
    paths = tmp_path / "a.zarr", tmp_path / "b.zarr"
    if request.param == "gradients":
        return [_gradients(path, count) for path, count in zip(paths, (N, M), strict=True)]
    if request.param == "subsets":
        first, second = np.tile([[0, 2]], (N, 1)), np.tile([[1, 3]], (M, 1))
        return [_gradients(paths[0], N, first), _gradients(paths[1], M, second)]
    return [_representatives(path, np.arange(count) % C) for path, count in zip(paths, (N, M), strict=True)]


@pytest.mark.parametrize("rows", [[0, 10, 3, 7, 6, 5], [2, 1], [6, 10]])
def test_each_row_has_the_targets_of_its_store(stores, rows):
    joined, rows = JoinedTargets(stores[0], N, stores[1], M), torch.tensor(rows)
    assert (joined.num_images, joined.num_classes, joined.image_shape) == (N + M, C, SHAPE)
    x, classes = torch.rand(len(rows), *SHAPE), joined.stored_classes(rows)
    g = joined.gather(rows, classes, x)
    assert g.shape == (len(rows), joined.classes_per_image, *SHAPE)
    for i, row in enumerate(rows):
        store, own = (stores[1], row - N) if row >= N else (stores[0], row)
        assert torch.equal(classes[i], store.stored_classes(own[None])[0])
        assert torch.equal(g[i], store.gather(own[None], classes[i : i + 1], x[i : i + 1])[0])


def test_stores_of_different_numbers_of_classes_an_image_are_refused(tmp_path):
    stores = _gradients(tmp_path / "a.zarr", N), _gradients(tmp_path / "b.zarr", M, np.tile([[0, 2]], (M, 1)))
    with pytest.raises(InputError, match=r"b\.zarr holds gradients of 2 classes an image, and .*a\.zarr of 4"):
        JoinedTargets(stores[0], N, stores[1], M)
