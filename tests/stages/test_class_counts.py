"""From a folder of images to the page: with two classes and three, which AutoAttack's standard version cannot have, and 200."""

import re
from pathlib import Path

import artifacts
import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file

from pag.evaluation.metrics import read_metrics
from pag.figures import style
from stages import evaluate, prepare, report, score_targets, train, train_diffusion, visualize
from stages.params.reading import Params
from stages.paths import REPORT, Cell

ROOT = Path(__file__).parents[2]
GRID = {
    "datasets": ["few"], "architectures": ["resnet8"], "baselines": [], "heuristics": [],
    "teachers": {"architecture": "resnet8", "methods": []},
    "aligned": ["score_based"], "aligned_margin": {"methods": [], "targets": "score_based"},
    "combined": {"bases": [], "targets": []}, "lambdas": [],
    "generated": {"datasets": [], "baselines": [], "aligned": []},
    "seeds": [1], "targets_seeds": [1],
}  # fmt: skip
SECOND = {2: "apgd-margin", 3: "apgd-dlr", 200: "apgd-t"}  # of the attacks
EXAMPLES = 6  # under attack


def write_images(folder, classes):
    """Of each class pictures with a bright bar at a place of its own."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 2 if classes > 3 else 6), ("test", 1 if classes > 3 else 3)):
        for c in range(classes):
            (folder / part / f"class {c}").mkdir(parents=True)
            for i in range(count):
                image = rng.integers(0, 60, (8, 8), dtype=np.uint8)
                image[:, c % 8] += 190
                Image.fromarray(image).save(folder / part / f"class {c}" / f"{i}.png")


def write_params(folder):
    """The digits' parameters at a tiny size; attacks so strong that the first fools every example."""
    few = yaml.safe_load((ROOT / "params/digits.yaml").read_text(encoding="utf-8"))
    few["data"] = {
        "source": "folder", "root": str(folder / "images"), "image_size": 8, "grayscale": True,
        "validation_fraction": 0.3, "split_seed": 0,
    }  # fmt: skip
    few["diffusion"] |= {"steps": 1, "batch_size": 2, "samples": {"per_class": 1, "steps": 2}, "threads": 1}
    few["diffusion"]["network"] |= {"channel_mult": [1], "attention_downsamplings": []}
    few["training"] |= {"epochs": 2, "batch_size": 4}
    few["evaluation"] |= {
        "threats": {"l2": {"norm": "l2", "eps": 8.0}, "linf": {"norm": "linf", "eps": 1.0}},
        "examples": EXAMPLES, "block_size": EXAMPLES, "pgd": {"steps": 1, "restarts": 1, "relative_step": 1.0},
        "foolbox": {"attacks": {"gaussian_blur": {"eps": 2.0, "steps": 2}}, "examples": 4, "block_size": 4},
    }  # fmt: skip
    few["evaluation"]["alignment"] |= {"draws": 1, "classes_per_image": 2}
    few["targets"]["score_based"]["classes_per_image"] = 2
    few["evaluation"]["targeted"] |= {"steps": 2, "images": 3}  # of each class one, and there may be only two
    few["figures"] = {"images": 3, "timesteps": [500]}
    main = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    main["lambda"]["few"] = {"resnet8": {"score_based": 0.5}}
    (folder / "params").mkdir()
    (folder / "params" / "few.yaml").write_text(yaml.safe_dump(few), encoding="utf-8")
    (folder / "params.yaml").write_text(yaml.safe_dump(main | {"grid": GRID}), encoding="utf-8")


@pytest.mark.parametrize("classes", SECOND)
def test_any_number_of_classes_passes_from_a_folder_to_the_page(tmp_path, monkeypatch, classes):
    write_images(tmp_path / "images", classes)
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(style, "DPI", 20)  # 200 rows of samples are a large picture
    params = Params(tmp_path / "params.yaml", [])
    prepare.run(params, "few")
    train_diffusion.run(params, "few", 1)
    for split in ("train", "test"):
        score_targets.run(params, "few", split, 1)
    cell = Cell("few", "resnet8", "score_based", 1, 1)
    train.run(params, cell)
    evaluate.run(params, cell, 1)
    metrics = read_metrics(cell.evaluation / "metrics.json")
    for attacked in metrics.autoattack.values():
        assert list(attacked.attacks) == ["apgd-ce", SECOND[classes], "fab-t", "square"]
        assert attacked.n == EXAMPLES
    assert metrics.alignment is not None
    targeted = load_file(cell.evaluation / "targeted.safetensors")
    assert targeted["frames"].shape == (min(classes, 3), min(classes, 20), len(targeted["epsilons"]), 1, 8, 8)
    visualize.run(params, "few", "resnet8")
    artifacts.write_toy(np.random.default_rng(0))
    report.run(params)
    told = f"AutoAttack needs four classes: {SECOND[classes].upper()} takes APGD-T"
    for page in ("index.html", "tables.md"):
        text = (REPORT / page).read_text(encoding="utf-8")
        text = re.sub("<[^>]*>", "", text)  # a word may be a link to the glossary
        assert (told in text) == (classes < 4)
