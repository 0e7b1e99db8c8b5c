"""Diffusion models for microcontrollers, from Python.

Convert a checkpoint to a model file, and run the file with the bits of the device.

>>> import mote
>>> model = mote.Model("my.mote")                      # doctest: +SKIP
>>> model.sample(seeds=[7], steps=20).digests          # doctest: +SKIP
['9e7ce10cccb858ba']
"""

from ._convert import convert
from ._model import Images, Model
from ._shards import merge
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

__all__ = [
    "FailedError",
    "Images",
    "InputError",
    "Model",
    "MoteError",
    "OutputError",
    "RefusedError",
    "TooLargeError",
    "UnavailableError",
    "UsageError",
    "__version__",
    "boards",
    "convert",
    "merge",
]
