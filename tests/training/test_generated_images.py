"""Laws of batches with generated images: their share, what stays of the batch without them, and whose targets they have."""

import pytest
import torch

from pag.alignment.gradients import cosine
from pag.base.randomness import torch_stream
from pag.data.image_store import Split, pixels
from pag.targets.gradient_store import create_gradients, write_shard
from pag.targets.joined_store import JoinedTargets
from pag.targets.kinds import open_targets
from pag.training.augmentation import Augmentation
from pag.training.batches import Batches
from pag.training.recipe import AlignedTargets, Generated, Recipe

N, M, C, BATCH, SEED = 50, 24, 3, 8, 4
FIRST = 60  # row of the first generated image; the training set has rows of validation, too
CPU, PLAIN = torch.device("cpu"), Augmentation()


def _split(count, seed, first_row=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(count) % C, first_row + torch.arange(count))


REAL, DRAWN = _split(N, 0), _split(M, 1, FIRST)


def _batches(share=None, targets=None, augmentation=PLAIN, epochs=3):
    generated = None if share is None else Generated(DRAWN, share)
    aligned = None if targets is None else AlignedTargets(targets, "log_softmax", classes_per_step=2)
    return Batches(REAL, aligned, Recipe(epochs, BATCH, {}, augmentation), SEED, CPU, generated)


@pytest.fixture
def targets(tmp_path):
    """Stores of gradients of the training set's rows, and of the generated images."""
    stores = []
    for name, count in (("real", FIRST), ("drawn", M)):
        path = tmp_path / f"{name}.zarr"
        create_gradients(path, (count, C, 1, 4, 4), count)
        gradients = torch.randn(count, C, 1, 4, 4, generator=torch.Generator().manual_seed(count))
        write_shard(path, 0, gradients.numpy())
        stores.append(open_targets(path))
    return stores


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_every_batch_has_its_share_and_a_run_as_many_steps(share):
    mixed, plain = _batches(share), _batches()
    assert (mixed.steps, mixed.steps_per_epoch) == (plain.steps, plain.steps_per_epoch)
    for step in range(mixed.steps):
        rows, usual = mixed.rows(step), plain.rows(step)
        assert len(rows) == mixed.size(step) == plain.size(step)
        count = round(share * len(rows))
        assert int((rows >= FIRST).sum()) == count
        assert torch.equal(rows[count:], usual[count:])  # the others are those that there are without generated images


def test_images_and_labels_are_those_of_the_rows():
    batches, every = _batches(0.4), torch.cat([REAL.images, DRAWN.images])
    labels, place = torch.cat([REAL.labels, DRAWN.labels]), {int(r): i for i, r in enumerate(_rows())}
    for step in range(batches.steps):
        batch, _ = batches(step)
        index = torch.tensor([place[int(row)] for row in batches.rows(step)])
        assert torch.equal(batch.x, pixels(every[index]))
        assert torch.equal(batch.labels, labels[index])


def _rows():
    return torch.cat([REAL.rows, DRAWN.rows])


def test_a_batch_is_a_function_of_its_step_alone():
    forwards, backwards = _batches(0.3), _batches(0.3)
    steps = range(forwards.steps)
    rows = {step: backwards.rows(step) for step in reversed(steps)}
    assert all(torch.equal(forwards.rows(step), rows[step]) for step in steps)


def test_generated_images_are_drawn_uniformly():
    batches = _batches(0.5, epochs=700)
    drawn = torch.cat(
        [batches.rows(step)[:4] for step in range(0, batches.steps, 7)]
    )  # the full first batch of an epoch
    counts = (drawn - FIRST).bincount(minlength=M)
    expected = len(drawn) / M
    assert (counts - expected).abs().max() < 5 * expected**0.5


def test_without_generated_images_batches_are_what_they_were():
    """By the words of the documentation: a new order each epoch, the classes drawn first, then the views."""
    batches = _batches(augmentation=Augmentation(1, True))
    for step in range(batches.steps):
        epoch, position = divmod(step, batches.steps_per_epoch)
        order = torch.randperm(N, generator=torch_stream(SEED, "order", epoch))
        index = order[position * BATCH : (position + 1) * BATCH]
        views = Augmentation(1, True).draw(len(index), torch_stream(SEED, "step", step))
        batch, _ = batches(step)
        assert torch.equal(batch.x, views(pixels(REAL.images[index])))
        assert torch.equal(batch.labels, REAL.labels[index])


def test_targets_of_a_batch_are_those_of_the_stores_rows(targets):
    real, drawn = targets
    batches = _batches(0.3, JoinedTargets(real, FIRST, drawn, M))
    for step in range(batches.steps):
        batch, rows = batches(step)[0], batches.rows(step)
        for i, row in enumerate(rows):
            store, own = (drawn, row - FIRST) if row >= FIRST else (real, row)
            expected = store.gather(own[None], batch.classes[i : i + 1], batch.x[i : i + 1])
            assert torch.equal(batch.targets[i : i + 1], expected)
    assert float(cosine(batch.targets, batch.targets).min()) == pytest.approx(1)
