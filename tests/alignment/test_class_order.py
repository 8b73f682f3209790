"""Why each image has its classes in an order of its own: what batch norm makes of the aligned gradients of a batch."""

import pytest
import torch

from pag.alignment.gradients import cosine, input_gradients
from pag.base.randomness import torch_stream
from pag.networks.architectures import build
from pag.training.objectives import draw_classes

B, C, SHAPE = 16, 10, (3, 16, 16)


@pytest.fixture
def model():
    torch.manual_seed(0)
    options = {"channels": (8, 16, 32), "blocks": (1, 1, 1), "norm": "batch", "activation": "relu"}
    return build("resnet", SHAPE, C, **options).double()


@pytest.fixture
def x():
    return torch.rand(B, *SHAPE, generator=torch_stream(0, "test"), dtype=torch.float64)


def _repeated(model, x, classes):
    """The gradients of all classes as the authors compute them: one pass of the batch that has each image once for each class."""
    copies = x.repeat_interleave(C, dim=0).requires_grad_()
    outputs = model(copies).log_softmax(1).gather(1, classes.reshape(-1, 1))
    (gradients,) = torch.autograd.grad(outputs.sum(), copies)
    return gradients.reshape(B, C, *SHAPE)


def _mean_cosine(model, x, classes):
    gradients, _ = input_gradients(model, x, classes, "log_softmax")
    return float(cosine(gradients, _repeated(model, x, classes)).mean())


def test_in_training_mode_the_gradients_are_nearly_those_of_the_repeated_batch(model, x):
    model.train()
    assert _mean_cosine(model, x, draw_classes(B, C, C, torch_stream(0, "classes"))) >= 0.9
    assert _mean_cosine(model, x, torch.arange(C).expand(B, C)) < 0.7  # columns of one class each


def test_in_evaluation_mode_they_are_the_same(model, x):
    model.train()(x)
    model.eval()
    classes = draw_classes(B, C, C, torch_stream(0, "classes"))
    gradients, _ = input_gradients(model, x, classes, "log_softmax")
    torch.testing.assert_close(gradients, _repeated(model, x, classes), rtol=1e-10, atol=1e-13)
