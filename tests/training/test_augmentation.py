"""Laws of augmentation: per image, the same for an image and its targets, and what the transforms are known to do."""

import torch
from torch.nn import functional

from pag.training.augmentation import Augmentation, Views


def test_view_is_the_crop_and_flip_of_each_image():
    x = torch.rand(3, 2, 4, 5)
    views = Views(torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1]), torch.tensor([False, True, True]), padding=1)
    padded = functional.pad(x, (1, 1, 1, 1))
    for i, (row, column, flipped) in enumerate([(0, 2, False), (1, 0, True), (2, 1, True)]):
        crop = padded[i, :, row : row + 4, column : column + 5]
        assert torch.equal(views(x)[i], crop.flip(-1) if flipped else crop)


def test_targets_get_the_view_of_their_image():
    x = torch.rand(6, 3, 8, 8)
    views = Augmentation(crop_padding=2, flip=True).draw(6, torch.Generator().manual_seed(0))
    targets = torch.stack([x, 2 * x, -x], dim=1)
    assert torch.equal(views(targets), torch.stack([views(x), 2 * views(x), -views(x)], dim=1))


def test_views_differ_between_images():
    x = torch.rand(1, 1, 8, 8).expand(64, 1, 8, 8)
    views = Augmentation(crop_padding=2, flip=True).draw(64, torch.Generator().manual_seed(0))
    assert len(views(x).flatten(1).unique(dim=0)) > 20


def test_nothing_to_augment_is_no_view():
    assert Augmentation().draw(4, torch.Generator()) is None
