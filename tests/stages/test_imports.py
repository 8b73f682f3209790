"""Laws of imports: what came from our own files comes back the same, in any order, and what does not fit is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pag.base.errors import InputError
from pag.data.datasets import Dataset, LabelledImages, validation_mask
from pag.data.image_store import ImageStore, pixels, write_images
from pag.diffusion.model import save_diffusion
from pag.targets.kinds import open_targets
from pag.targets.published import read_published_targets
from stages.commands import import_diffusion, import_targets
from stages.params.diffusion import DiffusionParams
from stages.params.reading import Params
from stages.paths import DatasetPaths
from stages.train_diffusion import diffusion_config

SEED = 1

N, C, SHAPE = 12, 3, (3, 8, 8)
NETWORK = {
    "base_channels": 32,
    "channel_mult": [1],
    "num_res_blocks": 1,
    "attention_downsamplings": [1],
    "num_heads": 1,
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with an image store of three classes, whose first two training images are the same, and parameters for it."""
    params = Params()
    digits = params.dataset("digits").content
    digits["targets"]["published"] = {"source": "imported", "shard_size": 5}
    digits["diffusion"] |= {"network": NETWORK, "samples": {"per_class": 1, "steps": 2}}
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (N, 8, 8, 3)).astype(np.uint8), np.arange(N) % C
    images[3] = images[0]
    train = LabelledImages(images, labels)
    data = Dataset("digits", train, LabelledImages(images[:3], labels[:3]), ("a", "b", "c"), "made up")
    path = DatasetPaths("digits").images
    path.parent.mkdir(parents=True)
    write_images(path, data, validation_mask(labels, 0.3, 0))
    return params, ImageStore.open(path).all_training()


def published(training, order, centred=True, dtype=torch.float32):
    """The authors' form of a row of gradients for each image, in another order; and the gradients in ours."""
    generator = torch.Generator().manual_seed(1)
    gradients = torch.randn(N, C, *SHAPE, generator=generator).half().float()
    gradients[3] = gradients[0]  # the same image has the same gradients
    x = pixels(training.images)
    tensor = torch.cat([(2 * x - 1 if centred else x)[:, None], gradients], dim=1).to(dtype)[order]
    torch.save(tensor, "targets.pt")
    torch.save(training.labels[order], "labels.pt")
    return gradients


def run(params):
    import_targets.run(params, "digits", "published", Path("targets.pt"), Path("labels.pt"), SEED)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("seed", [None, 1])
def test_gradients_come_to_their_images_from_any_order(project, centred, dtype, seed):
    params, training = project
    order = torch.arange(N) if seed is None else torch.randperm(N, generator=torch.Generator().manual_seed(seed))
    gradients = published(training, order, centred, dtype)
    run(params)
    store = open_targets(DatasetPaths("digits").targets("published", SEED))
    classes = torch.arange(C).expand(N, -1)
    assert torch.equal(store.gather(torch.arange(N), classes, pixels(training.images)), gradients)


def test_larger_sets_are_cut_and_smaller_ones_refused(project):
    params, training = project
    published(training, torch.cat([torch.arange(N), torch.tensor([5])]))
    run(params)
    published(training, torch.arange(N - 2))
    with pytest.raises(InputError, match=rf"targets\.pt lacks 2 of the {N} training images"):
        run(params)


def test_what_does_not_fit_is_refused_and_nothing_is_lost(project):
    params, training = project
    published(training, torch.arange(N))
    run(params)
    before = open_targets(DatasetPaths("digits").targets("published", SEED))
    torch.save((training.labels + 1) % C, "labels.pt")
    with pytest.raises(InputError, match="with other labels"):
        run(params)
    torch.save(training.labels[:-1], "labels.pt")
    with pytest.raises(InputError, match=r"labels\.pt must hold one whole number"):
        run(params)
    torch.save(training.labels, "labels.pt")
    tensor = torch.load("targets.pt", weights_only=True)
    for changed, told in (
        (tensor[:, :-1], r"\(3, 3, 8, 8\), and the images need \(4, 3, 8, 8\)"),
        (tensor.long(), "must hold a floating tensor"),
        (tensor[:, 0], "must hold a floating tensor"),
        (torch.full_like(tensor, torch.nan).where(torch.arange(1 + C)[:, None, None, None] == 2, tensor), "not finite"),
    ):
        torch.save(changed, "targets.pt")
        with pytest.raises(InputError, match=told):
            run(params)
    Path("targets.pt").write_bytes(b"no tensor")
    with pytest.raises(InputError, match=r"targets\.pt is damaged"):
        run(params)
    with pytest.raises(InputError, match=r"nowhere\.pt does not exist"):
        read_published_targets(Path("nowhere.pt"), Path("labels.pt"))
    with pytest.raises(InputError, match=r"targets\.score_based is made by a stage"):
        import_targets.run(params, "digits", "score_based", Path("targets.pt"), Path("labels.pt"), SEED)
    after = open_targets(DatasetPaths("digits").targets("published", SEED))
    rows, classes = torch.arange(N), torch.zeros(N, 1, dtype=torch.long)
    x = pixels(training.images)
    assert torch.equal(before.gather(rows, classes, x), after.gather(rows, classes, x))


@pytest.mark.parametrize("damage", ["nan", "inf", "cut", "flat"])
def test_a_model_that_cannot_be_used_does_not_replace_a_good_one(project, tmp_path, damage):
    params, _ = project
    section = params.dataset("digits").read("diffusion", DiffusionParams)
    model = diffusion_config(ImageStore.open(DatasetPaths("digits").images), section).build()
    state, file = model.network.state_dict(), tmp_path / "ema.pt"
    torch.save(state, file)
    import_diffusion.run(params, "digits", file, SEED)
    folder = DatasetPaths("digits").diffusion(SEED)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    bias = state["out.2.bias"]
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1000])
    else:
        torch.save(state | {"out.2.bias": bias[:0] if damage == "flat" else bias + float(damage)}, file)
    with pytest.raises(
        InputError, match=r"ema\.pt (has weights that are not finite|is truncated|is of another architecture)"
    ):
        import_diffusion.run(params, "digits", file, SEED)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_diffusion_model_round_trips_and_others_are_refused(project, tmp_path, capsys):
    params, _ = project
    config = diffusion_config(
        ImageStore.open(DatasetPaths("digits").images), params.dataset("digits").read("diffusion", DiffusionParams)
    )
    torch.manual_seed(3)
    model, file = config.build(), tmp_path / "ema.pt"
    torch.save(model.network.state_dict(), file)
    import_diffusion.run(params, "digits", file, SEED)
    assert "dvc commit --force train_diffusion@digits" in capsys.readouterr().out
    (tmp_path / "ours").mkdir()
    save_diffusion(tmp_path / "ours", model)
    imported = DatasetPaths("digits").diffusion(SEED)
    for name in ("model.safetensors", "config.json"):
        assert (imported / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()
    assert (imported / "samples.png").exists()
    state = load_file(imported / "model.safetensors")
    torch.save({**state, "label_emb.weight": state["label_emb.weight"][:C]}, file)
    with pytest.raises(
        InputError, match=r"ema\.pt holds a model with 3 labels; eq\. \(8\) also needs the unconditional"
    ):
        import_diffusion.run(params, "digits", file, SEED)
    torch.save({name: value for name, value in state.items() if name != "out.2.bias"}, file)
    with pytest.raises(InputError, match=r"another architecture: out\.2\.bias is missing"):
        import_diffusion.run(params, "digits", file, SEED)
