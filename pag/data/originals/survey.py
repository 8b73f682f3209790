"""What a folder of images holds, by the files' headers: how many of each class, of which sizes and modes, and what is amiss."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from PIL import ExifTags, Image

from pag.base.errors import InputError
from pag.data.originals.folder import folder_classes
from pag.data.originals.image_files import FORMATS, image_files

__all__ = ["Survey", "listed", "survey"]

FEW = 20  # training images a class, below which a split for validation leaves next to none
UNEQUAL = 3.0  # the largest class has so many times the smallest
SQUARE = 1.1  # the longer side in units of the shorter, to which a picture passes for square
LISTED = 5
QUARTER_TURNS = (5, 6, 7, 8)  # of EXIF's orientations: width and height change places
DEEP = ("I", "F")  # modes of more than 8 bits a channel begin so


@dataclass(frozen=True)
class Survey:
    """What there is.

    Attributes:
        classes: names, sorted.
        train, test: how many images of each class.
        sizes: how many pictures of each width and height.
        modes: how many of each mode, as Pillow calls them.
    """

    classes: tuple[str, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]
    sizes: Counter[tuple[int, int]]
    modes: Counter[str]

    @property
    def side(self) -> int:
        """The shorter side of a typical picture, in pixels."""
        return median_low([min(size) for size in self.sizes.elements()])

    @property
    def grayscale(self) -> bool:
        """Whether no picture has colours."""
        return set(self.modes) <= {"1", "L", "LA"}

    def warnings(self) -> Iterator[str]:
        """What may make the results worse, a sentence each."""
        few = [name for name, n in zip(self.classes, self.train, strict=True) if n < FEW]
        if few:
            yield f"{listed(few)} {'has' if len(few) == 1 else 'have'} fewer than {FEW} training images."
        if max(self.train) > UNEQUAL * min(self.train):
            counts = f"{min(self.train)} to {max(self.train)} training images"
            yield f"The classes are unequal ({counts}): accuracy favours the frequent ones."
        oblong = sum(n for (width, height), n in self.sizes.items() if max(width, height) > SQUARE * min(width, height))
        if oblong:
            of_all = f"{oblong} of {self.sizes.total()} pictures"
            yield f"{of_all} are not square; all are resized to squares, so their proportions are not kept."
        if min(self.test) < 2:
            yield "A class has a single test image: its accuracy says next to nothing."


def survey(base: Path) -> Survey:
    """Looks at `<base>/train/<class>/…` and `<base>/test/<class>/…`.

    Raises:
        InputError: the folder is not laid out so, a class has no image, or a picture cannot be read or is too deep.
    """
    classes = folder_classes(base)
    files = {part: [image_files(base / part / name) for name in classes] for part in ("train", "test")}
    for part, of in files.items():
        empty = [str(base / part / name) for name, found in zip(classes, of, strict=True) if not found]
        if empty:
            raise InputError(f"{listed(empty)} {'holds' if len(empty) == 1 else 'hold'} no image.")
    heads = [_head(path) for of in files.values() for found in of for path in found]
    unreadable = [str(path) for path, head in heads if head is None]
    if unreadable:
        raise InputError(f"{listed(unreadable)} cannot be read as images; mend or remove them.")
    deep = [str(path) for path, head in heads if head is not None and head[1].startswith(DEEP)]
    if deep:
        raise InputError(
            f"{listed(deep)} {'has' if len(deep) == 1 else 'have'} more than 8 bits a channel; save with 8."
        )
    known = [head for _, head in heads if head is not None]
    counts = {part: tuple(map(len, of)) for part, of in files.items()}
    sizes, modes = Counter(size for size, _ in known), Counter(mode for _, mode in known)
    return Survey(tuple(classes), counts["train"], counts["test"], sizes, modes)


def _head(path: Path) -> tuple[Path, tuple[tuple[int, int], str] | None]:
    """Size, as it is turned, and mode of a picture; None where it cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in QUARTER_TURNS
            return path, ((height, width) if turned else (width, height), _mode(image))
    except Exception:  # each format has exceptions of its own
        return path, None


def _mode(image: Image.Image) -> str:
    """As Pillow calls it; of a palette that has no colours it is `L`."""
    palette = image.getpalette("RGB") if image.mode == "P" else None
    return "L" if palette and palette[::3] == palette[1::3] == palette[2::3] else image.mode


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more: `a, b and 3 more`."""
    shown, more = names[:LISTED], len(names) - LISTED
    return f"{', '.join(shown)} and {more} more" if more > 0 else ", ".join(shown)
