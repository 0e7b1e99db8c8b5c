"""What users give, as the compiled part takes it."""

from __future__ import annotations

import json
import numbers
import operator
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ._mote import UsageError

# Whole numbers in a list, at most: the images of a run.
MOST = 1_000_000


def usage(what: str, advice: str) -> UsageError:
    """An error of the request, as the library words it."""
    error = UsageError(f"{what}\nhelp: {advice}")
    error.advice = advice
    error.code = "MOTE-1000"
    return error


def as_numpy(values: Any, name: str) -> np.ndarray:
    """An array, a tensor of any library that speaks DLPack, or nested lists, in memory that the processor reads."""
    if isinstance(values, np.ma.MaskedArray):
        raise usage(f"{name} is a masked array, whose masked elements are no numbers", f"give {name}.filled(...)")
    if hasattr(values, "requires_grad"):
        values = values.detach()
    if hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray):
        device = getattr(values, "device", None)
        if device is not None and str(device) not in ("cpu", "Device(cpu)"):
            raise usage(f"{name} is on {device}", f"give {name}.cpu()")
        try:
            values = np.from_dlpack(values)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            # A type that NumPy does not have, such as bfloat16; memory that is not to be written to; or no plain memory.
            try:
                values = values.float().numpy() if hasattr(values, "float") else values
            except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
                raise usage(f"{name} is no array in plain memory: {error}", f"give {name}.to_dense(), or a NumPy array") from error
    try:
        array = np.asarray(values)
    except (RuntimeError, TypeError, ValueError) as error:
        raise usage(f"{name} is no array: {error}", "give a NumPy array or a tensor") from error
    if array.dtype.kind not in "fiub":
        raise usage(f"{name} has elements of type {array.dtype}", "give real numbers")
    return array


def samples(values: Any, shape: tuple[int, int, int], name: str) -> np.ndarray:
    """One sample or many, float32 `(sample, channel, row, col)`."""
    array = as_numpy(values, name)
    if array.shape == shape:
        array = array[None]
    if array.ndim != 4 or array.shape[1:] != shape:
        expected = ", ".join(map(str, shape))
        raise usage(f"{name} has shape {array.shape}", f"give (n, {expected}): sample, channel, row, column")
    return floats(array)


def floats(array: np.ndarray) -> np.ndarray:
    """The same in float32, in its own memory where it has that type, whatever its strides."""
    # What is beyond float32 becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        return np.require(array, dtype=np.float32, requirements="A")


def whole_numbers(values: Any, name: str, most: int) -> list[int]:
    """Whole numbers from 0 to `most`: an iterable, an array, or one number."""
    if hasattr(values, "requires_grad") or isinstance(values, np.ndarray):
        values = as_numpy(values, name).reshape(-1).tolist()
    elif not isinstance(values, Iterable):
        values = [values]
    values = listed(values, name, f"give whole numbers from 0 to {most}")
    try:
        found = [operator.index(value) for value in values]
    except TypeError as error:
        raise usage(f"{name} holds what is no whole number: {error}", f"give whole numbers from 0 to {most}") from error
    for value in found:
        if not 0 <= value <= most:
            raise usage(f"{name} holds {value}", f"give whole numbers from 0 to {most}")
    return found


def listed(values: Any, name: str, advice: str) -> list[Any]:
    """What an iterable holds; it may have no end."""
    if isinstance(values, (str, bytes, os.PathLike)):
        raise usage(f"{name} is {values!r}", advice)
    try:
        found = list(islice(values, MOST + 1))
    except TypeError as error:
        raise usage(f"{name} is no list: {error}", advice) from error
    if len(found) > MOST:
        raise usage(f"{name} holds more than {MOST:,}", "make several calls, of fewer each")
    return found


def flag(value: Any, name: str) -> bool:
    """True or false."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise usage(f"{name} is a {type(value).__name__}", "give True or False")


def whole_number(value: Any, name: str, most: int) -> int:
    """One whole number from 0 to `most`."""
    found = whole_numbers(value, name, most)
    if len(found) != 1:
        raise usage(f"{name} holds {len(found)} numbers", "give one")
    return found[0]


def real(value: Any, name: str) -> float:
    """One number."""
    if isinstance(value, numbers.Real) or getattr(value, "ndim", None) == 0:
        try:
            return float(value)
        except (RuntimeError, TypeError, ValueError, OverflowError):
            pass
    raise usage(f"{name} is {value!r}", "give a number")


def word(value: Any, name: str) -> str:
    """One word of a list that the library knows."""
    if isinstance(value, str) and value.isascii():
        return str(value)
    raise usage(f"{name} is {value!r}", "give a name, as a string")


def text(value: Any, name: str) -> str:
    """A text of any letters."""
    try:
        return value.encode().decode() if isinstance(value, str) else word(value, name)
    except UnicodeError as error:
        raise usage(f"{name} is no text: {error}", "give a string") from error


def path(value: Any, name: str) -> str:
    """The path of a file or a folder."""
    try:
        found = os.fsdecode(os.fsencode(value))
    except (TypeError, ValueError) as error:
        raise usage(f"{name} is a {type(value).__name__}: {error}", "give a path, as a string or a pathlib.Path") from error
    if "\0" in found:
        raise usage(f"{name} holds a zero byte, which no path has", "give a path")
    return found


def object_of(text: str) -> dict[str, Any]:
    """The object of a JSON text."""
    found: dict[str, Any] = json.loads(text)
    return found


def write_safetensors(file: Path, name: str, array: np.ndarray) -> None:
    """Writes one array of float32 as a safetensors file."""
    raw = np.ascontiguousarray(array, dtype="<f4").tobytes()
    header = json.dumps({name: {"dtype": "F32", "shape": list(array.shape), "data_offsets": [0, len(raw)]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + raw)
