"""Parts of runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from . import _mote
from ._arrays import listed, object_of, path as path_of


def merge(parts: Iterable[str | os.PathLike[str]], out: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Joins the parts of a run, in any order: those of `Model.sample_part` to the archive `out`, those of `Model.statistics` to the distances.

    >>> mote.merge(["part-0.npz", "part-1.npz"], "all.npz")["count"]
    8

    Returns:
        The object of `mote merge --json`: `count` and `digest` of images; `held` and `distribution` of statistics.

    Raises:
        InputError: A part is damaged or of another run, or the parts are not all of the run, each once.
    """
    paths = [path_of(part, "a part") for part in listed(parts, "parts", "give a list of paths")]
    return object_of(_mote.merge(paths, None if out is None else path_of(out, "out")))
