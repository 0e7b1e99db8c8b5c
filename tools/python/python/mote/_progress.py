"""Progress of long work: a callback, or a bar where tqdm is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._arrays import usage

Progress = bool | Callable[[int, int], object] | None


@contextmanager
def told(progress: Progress, total: int, what: str) -> Iterator[Callable[[int], object] | None]:
    """What the compiled part calls with the pieces that are done of `total`.

    `progress` is a function of (done, total), or True for a bar, which needs tqdm.
    """
    if progress is None or progress is False:
        yield None
    elif callable(progress):
        yield lambda done: progress(done, total)
    elif progress is not True:
        raise usage(f"progress is a {type(progress).__name__}", "give True, or a function of (done, total)")
    else:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise usage("a bar needs tqdm, which is not here", "pip install tqdm, or give a function of (done, total)") from error

        with tqdm(total=total, desc=what) as bar:
            yield lambda done: bar.update(done - bar.n)
            bar.update(total - bar.n)
