"""Parts of runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from . import _mote


def merge(parts: Iterable[str | os.PathLike[str]], out: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Joins the parts of a run, in any order: those of `Model.sample_part` to the archive `out`, those of `Model.statistics` to the distances.

    Returns:
        The object of `mote merge --json`: `count` and `digest` of images; `held` and `distribution` of statistics.

    Raises:
        InputError: A part is damaged or of another run, or the parts are not all of the run, each once.
    """
    paths = [os.fspath(part) for part in parts]
    return json.loads(_mote.merge(paths, None if out is None else os.fspath(out)))
