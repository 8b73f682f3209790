"""`new-dataset`: the parameters of a data set of one's own, from a look at its folder and a data set that is like it."""

import math
from collections.abc import MutableMapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pag.base.errors import InputError
from pag.base.files import in_home, written_whole
from pag.data.originals.survey import Survey, listed, survey
from stages.params.check import Named, check
from stages.params.data import FolderParams
from stages.params.parsing import parse
from stages.params.reading import Params, dataset_file
from stages.params.section import require_names
from stages.paths import data_root

__all__ = ["run"]

SIDES = (16, 64)  # smallest and largest height of images that is chosen; a larger one takes long without a GPU
MULTIPLE = 8  # what a U-Net of a few levels can halve
STEPS = 900  # of training, at least, where there are few images
EPOCHS = (8, 60)
SMALL = 1000  # training images, below which a fifth of them is for validation
FLOATS = ("inf", "nan")  # as `dvc exp run -S` has them
RESERVED = ("code", "figures", "report", "toy")  # folders of `data/` that belong to no data set
LEAST = 4  # training images a class: of three that are no validation, two pooled, so that each image has a neighbour
EXAMPLES = 60  # test images under attack: minutes a classifier on two cores
Section = MutableMapping[str, Any]  # of YAML that keeps its comments


@dataclass(frozen=True)
class _Fit:
    """The numbers that depend on the images.

    Attributes:
        survey: of the folder.
        side: height and width of the images.
        like: side and channels of the images that the parameters were written for.
    """

    survey: Survey
    side: int
    like: tuple[int, int]

    @property
    def channels(self) -> int:
        return 1 if self.survey.grayscale else 3

    @property
    def classes(self) -> int:
        return len(self.survey.classes)

    @property
    def validation_fraction(self) -> float:
        return 0.1 if sum(self.survey.train) >= SMALL else 0.2

    @property
    def trained(self) -> int:
        """Training images without the validation split."""
        return int(sum(self.survey.train) * (1 - self.validation_fraction))

    @property
    def batch_size(self) -> int:
        return max(4, min(50, self.trained // 8))

    @property
    def epochs(self) -> int:
        lowest, highest = EPOCHS
        return min(highest, max(lowest, math.ceil(STEPS * self.batch_size / self.trained)))

    @property
    def smallest_class(self) -> int:
        return max(1, int(min(self.survey.train) * (1 - self.validation_fraction)) - 1)

    @property
    def examples(self) -> int:
        return min(EXAMPLES, sum(self.survey.test))

    def l2(self, eps: float) -> float:
        """A radius in L2 at these images: it grows with the root of the number of values, as the length of an image does."""
        of_like, here = self.like[0] ** 2 * self.like[1], self.side**2 * self.channels
        return float(f"{eps * math.sqrt(here / of_like):.2g}")


def run(params: Params, name: str, root: Path, like: str) -> Path:
    """Writes `params/<name>.yaml`, and λ of its methods into `params.yaml`; prints what was found and how to go on.

    Args:
        params: today's.
        name: of the data set.
        root: the folder with `train/<class>/…` and `test/<class>/…`.
        like: the data set whose parameters are taken where they do not depend on the images.

    Raises:
        InputError: the name is taken or none, the folder is not laid out so, has too few pictures or one that cannot be read, or
            `like` is not of a folder.
    """
    require_names(dataset=name)
    if name in RESERVED:
        raise InputError(f"{name!r} cannot name a data set: data/{name} holds other results.")
    if not _is_text(name):
        raise InputError(f"{name!r} cannot name a data set: YAML and `dvc exp run -S` do not read it as text.")
    file = params.folder / dataset_file(name)
    if file.exists() or name in params.main.content["lambda"]:
        raise InputError(f"A data set {name!r} already exists: {dataset_file(name)}, or lambda.{name} in params.yaml.")
    check(params, named=Named(dataset=like))
    data = params.dataset(like).read("data", FolderParams) if _of_folder(params, like) else None
    if data is None:
        raise InputError(
            f"--like {like}: {dataset_file(like)} does not describe a folder of images (data.source: folder)."
        )
    base = in_home(root).absolute()
    found = survey(base)
    _require_enough(found)
    fit = _Fit(found, _side(found.side), (data.image_size, 1 if data.grayscale else 3))
    _write(params, name, like, _relative(base, data_root(params)), fit)
    check(Params(params.folder / params.main.name), named=Named(dataset=name))
    _tell(params, name, like, found, fit)
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _require_enough(found: Survey) -> None:
    few = [f"{name} ({n})" for name, n in zip(found.classes, found.train, strict=True) if n < LEAST]
    if few:
        raise InputError(f"A class needs at least {LEAST} training images, and these have fewer: {listed(few)}.")


def _is_text(name: str) -> bool:
    """Whether a name is read as text wherever parameters are written."""
    try:
        return isinstance(parse(name, ""), str) and name not in FLOATS
    except InputError:
        return False


def _of_folder(params: Params, like: str) -> bool:
    return bool(params.dataset(like).content["data"].get("source") == "folder")


def _side(side: int) -> int:
    lowest, highest = SIDES
    return min(highest, max(lowest, MULTIPLE * math.ceil(side / MULTIPLE)))


def _relative(base: Path, root: Path) -> str:
    """As `data.root` has it: within `data_root` where the folder lies there."""
    inside = root.absolute()
    return str(base.relative_to(inside)) if base.is_relative_to(inside) else str(base)


def _write(params: Params, name: str, like: str, root: str, fit: _Fit) -> None:
    """Both files, the second after the first is whole; comments stay, and so does the form that `dvc exp run -S` writes."""
    content, main = (_load(params.folder / path) for path in (dataset_file(like), params.main.name))
    _fit_data(content["data"], root, fit)
    _fit_training(content, fit)
    _fit_attacks(content, fit)
    head = (
        f"{fit.classes} classes, {sum(fit.survey.train)} training and {sum(fit.survey.test)} test images. What does not depend on "
        f"them is\nfrom {like}, untuned: choose λ (in params.yaml) and the methods' numbers on the validation split."
    )
    content.yaml_set_start_comment(head)
    lambdas, of_like = main["lambda"], main["lambda"].get(like, {})
    copied = {architecture: dict(methods) for architecture, methods in of_like.items()}
    lambdas.insert(len(lambdas) - 1, name, copied)  # not behind the last, which the comment on what follows belongs to
    file = params.folder / dataset_file(name)
    _dump(content, file)
    try:
        _dump(main, params.folder / params.main.name)
    except BaseException:
        file.unlink()  # else the next try would find the name taken
        raise


def _load(path: Path) -> Any:  # noqa: ANN401
    return YAML().load(path.read_text(encoding="utf-8"))


def _dump(content: object, path: Path) -> None:
    yaml, stream = YAML(), StringIO()
    yaml.default_flow_style = False
    yaml.dump(content, stream)
    with written_whole(path) as partial:
        partial.write_text(stream.getvalue(), encoding="utf-8")


def _fit_data(data: Section, root: str, fit: _Fit) -> None:
    data.update(root=root, image_size=fit.side, grayscale=fit.survey.grayscale)
    data.update(images_per_class=None, validation_fraction=fit.validation_fraction)


def _fit_training(content: Section, fit: _Fit) -> None:
    """Batches, epochs, and what is taken of each class."""
    content["training"].update(batch_size=fit.batch_size, epochs=fit.epochs)
    content["diffusion"]["batch_size"] = min(content["diffusion"]["batch_size"], fit.trained)
    for target in content["targets"].values():
        _lower(target, "pool_per_class", fit.smallest_class)
        _lower(target, "components", max(1, fit.trained // 2))
        _lower(target, "neighbors", fit.smallest_class)
    for method in content["methods"].values():
        _lower(method, "classes_per_step", fit.classes)


def _fit_attacks(content: Section, fit: _Fit) -> None:
    """ε in L2 by the size of the images, in L∞ as it is; the test images under attack; attacks that need several classes."""
    evaluation, validation = content["evaluation"], content["training"]["validation_attack"]
    evaluation.update(examples=fit.examples, block_size=fit.examples)
    _lower(validation["apgd_t"], "targets", fit.classes - 1)
    validation["threats"]["l2"] = fit.l2(validation["threats"]["l2"])
    for section in (*evaluation["threats"].values(), *content["methods"].values(), evaluation["targeted"]):
        if section.get("norm") == "l2" and "eps" in section:
            section["eps"] = fit.l2(section["eps"])
    targeted = evaluation["targeted"]
    targeted["ladder"][:] = sorted({fit.l2(eps) for eps in targeted["ladder"]})
    for section in (targeted, content["figures"]):
        _lower(section, "images", fit.classes)


def _lower(section: Section, key: str, highest: int) -> None:
    """Lowers a number that is there and larger."""
    if section.get(key) is not None:
        section[key] = min(section[key], highest)


def _tell(params: Params, name: str, like: str, found: Survey, fit: _Fit) -> None:
    (width, height), _ = found.sizes.most_common(1)[0]
    sizes = f"{len(found.sizes)} sizes, mostly {width} × {height}" if len(found.sizes) > 1 else f"{width} × {height}"
    print(f"{fit.classes} classes ({', '.join(found.classes[:10])}{', …' if fit.classes > 10 else ''})")
    print(
        f"{sum(found.train)} training and {sum(found.test)} test images, {sizes}, {'gray' if found.grayscale else 'in colour'}"
    )
    print(f"as {fit.channels} × {fit.side} × {fit.side}; {fit.epochs} epochs in batches of {fit.batch_size}")
    for warning in found.warnings():
        print(f"Note: {warning}")
    architectures = list(params.main.content["lambda"].get(like, {}))
    print(f"\nWrote {dataset_file(name)}, and λ to {params.main.name}. To run it:")
    print(f"  dvc exp run -S 'grid.datasets=[{name}]' -S 'grid.architectures=[{','.join(architectures)}]'")
