"""What users give as arrays, as the compiled part takes them."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from ._mote import UsageError


def usage(what: str, advice: str) -> UsageError:
    """An error of the request, as the library words it."""
    error = UsageError(f"{what}\nhelp: {advice}")
    error.advice = advice
    error.code = "MOTE-1000"
    return error


def as_numpy(values: Any, name: str) -> np.ndarray:
    """An array, a tensor of any library that speaks DLPack, or nested lists, in memory that the processor reads."""
    if hasattr(values, "detach"):
        values = values.detach()
    if hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray):
        device = getattr(values, "device", None)
        if device is not None and str(device) not in ("cpu", "Device(cpu)"):
            raise usage(f"{name} is on {device}", f"give {name}.cpu()")
        try:
            values = np.from_dlpack(values)
        except (BufferError, RuntimeError, TypeError) as error:
            # A type that NumPy does not have, such as bfloat16; or no plain memory.
            try:
                values = values.float().numpy() if hasattr(values, "float") else values
            except (RuntimeError, TypeError):
                raise usage(f"{name} is no array in plain memory: {error}", f"give {name}.to_dense(), or a NumPy array") from error
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
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
    return np.ascontiguousarray(array, dtype="<f4")


def whole_numbers(values: Any, name: str, most: int) -> list[int]:
    """Whole numbers from 0 to `most`: an iterable, an array, or one number."""
    if hasattr(values, "detach") or isinstance(values, np.ndarray):
        values = as_numpy(values, name).reshape(-1).tolist()
    elif not isinstance(values, Iterable):
        values = [values]
    try:
        found = [operator.index(value) for value in values]
    except TypeError as error:
        raise usage(f"{name} holds what is no whole number: {error}", f"give whole numbers from 0 to {most}") from error
    for value in found:
        if not 0 <= value <= most:
            raise usage(f"{name} holds {value}", f"give whole numbers from 0 to {most}")
    return found
