"""Progress of long work: a callback, or a bar where tqdm is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    else:
        from tqdm.auto import tqdm

        with tqdm(total=total, desc=what) as bar:
            yield lambda done: bar.update(done - bar.n)
            bar.update(total - bar.n)
