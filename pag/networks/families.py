"""Families of networks: ours by the name of their module, whose `__all__` names the class; one's own as `package.module:ClassName`.
Only the family that is used is imported, and there is no list of them, so that a new one changes nothing of the others.

A class is called with `image_shape=(ch, H, W)`, `num_classes=C` and the options of its section; it takes normalised images
`(B, ch, H, W)` and gives logits `(B, C)`. To resolve a name needs no torch.
"""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from pag.base.errors import InputError

__all__ = ["OWN_FAMILY", "built_in", "family_class", "family_module", "named_callable"]

OWN_FAMILY = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
ARCHITECTURES = "pag.networks.architectures"


def built_in(family: str) -> bool:
    """Whether a module of `pag.networks.architectures` has the name."""
    return family.isidentifier() and (Path(__file__).parent / "architectures" / f"{family}.py").exists()


def family_module(family: str) -> str:
    """The dotted name of the module that a family's class is in.

    Args:
        family: the name of a built-in one, or `package.module:ClassName`.

    Raises:
        InputError: it is neither.
    """
    if built_in(family):
        return f"{ARCHITECTURES}.{family}"
    if not re.fullmatch(OWN_FAMILY, family):
        raise InputError(f"Unknown architecture family {family!r}; one's own is package.module:Class.")
    return family.partition(":")[0]


def family_class(family: str) -> Callable[..., object]:
    """The class of a family, from its module, which is imported: what the module does at import is run.

    Args:
        family: the name of a built-in one, or `package.module:ClassName` of a module on Python's path.

    Raises:
        InputError: it is neither, the module cannot be imported, or it has no such class.
    """
    module_name = family_module(family)
    module = _imported(module_name, f"The architecture family {family!r}")
    class_name = family.partition(":")[2] or module.__all__[0]
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise InputError(f"The architecture family {family!r} does not exist: {module_name} has no class {class_name}.")
    return found


def named_callable(name: str, what: str) -> Callable[..., object]:
    """A function or class of one's own, from its module, which is imported: what the module does at import is run.

    Args:
        name: `package.module:function`, of a module on Python's path.
        what: it is called in messages.

    Raises:
        InputError: it is not of this form, the module cannot be imported, or it has no such callable.
    """
    if not re.fullmatch(OWN_FAMILY, name):
        raise InputError(f"{what} is named as package.module:function, not {name!r}.")
    module_name, _, function = name.partition(":")
    found = getattr(_imported(module_name, f"{what} {name!r}"), function, None)
    if not callable(found):
        raise InputError(f"{what} {name!r} does not exist: {module_name} has no function or class {function}.")
    return found  # type: ignore[no-any-return]


def _imported(module_name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        raise InputError(f"{what} cannot be imported ({error}).") from error
