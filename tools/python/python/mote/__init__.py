"""Diffusion models for microcontrollers, from Python.

Convert a checkpoint to a model file, and run the file with the bits of the device.

>>> import mote
>>> model = mote.Model("my.mote")
>>> model.sample(seeds=[7], steps=20).digests
['c4804f62b7deb99f']
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from ._convert import convert
from ._model import Images, Model
from ._shards import merge
from .policy import Policy
from ._mote import (
    FailedError,
    InputError,
    MoteError,
    OutputError,
    RefusedError,
    TooLargeError,
    UnavailableError,
    UsageError,
    __version__,
    boards,
)

# Parts that need other packages, imported where they are first named.
_PARTS = ("diffusers", "ray", "torch")


def __getattr__(name: str) -> _Any:
    if name in _PARTS:
        return _import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "FailedError",
    "Images",
    "InputError",
    "Model",
    "MoteError",
    "OutputError",
    "Policy",
    "RefusedError",
    "TooLargeError",
    "UnavailableError",
    "UsageError",
    "__version__",
    "boards",
    "convert",
    "merge",
]
