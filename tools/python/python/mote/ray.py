"""Runs on a Ray cluster: a task a shard. Needs `ray` and this package on every node; no folder is shared.

>>> import mote.ray
>>> mote.ray.sample(mote.Model("my.mote"), "all.npz", count=8, shards=4, steps=2)["count"]
8
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from ._arrays import path as path_of
from ._model import Model
from ._shards import merge


def sample(
    model: Model, out: str | os.PathLike[str], *, count: int, shards: int, cpus: int = 1, retries: int = 8, **options: Any
) -> dict[str, Any]:
    """Makes `count` images in `shards` tasks and writes the archive that one machine writes, byte for byte.

    >>> mote.ray.sample(model, "all.npz", count=8, shards=4, steps=2)["parts"]
    4

    Args:
        cpus: Processors of a task.
        retries: How often a task is done again whose worker was lost.
        options: Those of `Model.sample_part`.
    """
    def make(model: Model, part: Path, shard: tuple[int, int]) -> None:
        model.sample_part(part, count=count, shard=shard, **options)

    return _merged(make, model, shards, "npz", out, cpus, retries)


def distribution(
    model: Model,
    checkpoint: str | os.PathLike[str],
    *,
    count: int,
    shards: int,
    out: str | os.PathLike[str] | None = None,
    cpus: int = 1,
    retries: int = 8,
    **options: Any,
) -> dict[str, Any]:
    """The distances of `mote validate --distribution`. `checkpoint` is a folder that every node has; `options` are those of `Model.statistics`.

    >>> mote.ray.distribution(model, "my-checkpoint", count=20, shards=2, steps=1)["held"]
    True
    """
    # Workers are in folders of their own.
    place = os.path.abspath(path_of(checkpoint, "checkpoint"))

    def make(model: Model, part: Path, shard: tuple[int, int]) -> None:
        model.statistics(place, part, count=count, shard=shard, **options)

    return _merged(make, model, shards, "moments", out, cpus, retries)


@ray.remote
def _part(make: Callable[[Model, Path, tuple[int, int]], None], model: Model, shard: tuple[int, int], ending: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"part.{ending}"
        make(model, path, shard)
        return path.read_bytes()


def _merged(make: Any, model: Model, shards: int, ending: str, out: Any, cpus: int, retries: int) -> dict[str, Any]:
    threads = {"env_vars": {"RAYON_NUM_THREADS": str(cpus)}}
    task = _part.options(num_cpus=cpus, max_retries=retries, runtime_env=threads)
    shared = ray.put(model)
    pending = {task.remote(make, shared, (i, shards), ending): i for i in range(shards)}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        while pending:
            [done], _ = ray.wait(list(pending))
            paths.append(Path(folder) / f"part-{pending.pop(done)}.{ending}")
            paths[-1].write_bytes(ray.get(done))
        return merge(paths, out)
