"""Laws of targeted examples at a ladder of ε."""

import pytest
import torch
from torch import nn

from pag.base.errors import InputError
from pag.evaluation.frames import targeted_frames

CLASSES, SHAPE = 4, (1, 5, 5)
LADDER = (0.0, 0.5, 1.0, 3.0)


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(25, 16), nn.SiLU(), nn.Linear(16, CLASSES)).eval()


@pytest.fixture
def images():
    return torch.randint(0, 256, (3, *SHAPE), generator=torch.Generator().manual_seed(1)) / 255


def frames_of(model, images, norm="l2", ladder=LADDER, classes=3):
    return targeted_frames(model, images, classes, norm, ladder, steps=20, relative_step=2.5)


def test_the_first_frame_is_the_image_itself(model, images):
    frames = frames_of(model, images)
    assert frames.images.shape == (3, 3, len(LADDER), *SHAPE)
    assert frames.images.dtype == torch.uint8
    assert torch.equal(frames.images[:, :, 0], (255 * images).round().to(torch.uint8)[:, None].expand(-1, 3, *SHAPE))
    with torch.no_grad():
        expected = model(images).softmax(1)
    assert torch.allclose(frames.probabilities[:, :, 0], expected[:, None].expand(-1, 3, -1), atol=1e-6)


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("linf", float("inf"))])
def test_each_frame_is_in_the_ball_of_its_eps(model, images, norm, order):
    frames = frames_of(model, images, norm)
    delta = frames.images / 255 - images[:, None, None]
    rounding = torch.full(SHAPE, 0.5 / 255).flatten().norm(order)
    distances = delta.flatten(3).norm(dim=3, p=order)
    assert (distances <= torch.tensor(LADDER) + rounding + 1e-6).all()


def test_probabilities_are_such_and_the_target_gains(model, images):
    p = frames_of(model, images).probabilities
    assert torch.allclose(p.sum(3), torch.ones(p.shape[:3]))
    of_target = torch.stack([p[:, k, :, k] for k in range(3)], dim=1)
    assert (of_target[:, :, -1] > of_target[:, :, 0]).all()


def test_a_frame_does_not_know_the_rest_of_the_ladder(model, images):
    alone = frames_of(model, images, ladder=(1.0,))
    assert torch.equal(alone.images[:, :, 0], frames_of(model, images).images[:, :, 2])


@pytest.mark.parametrize(("ladder", "classes"), [((), 3), ((1.0,), 0), ((1.0,), CLASSES + 1)])
def test_frames_need_an_eps_and_classes_that_the_network_has(model, images, ladder, classes):
    with pytest.raises(InputError, match=rf"an epsilon and 1 to 4 classes, not {len(ladder)} and {classes}"):
        frames_of(model, images, ladder=ladder, classes=classes)
