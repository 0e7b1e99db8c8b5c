"""From what a trainer has in memory to a model file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from . import _mote
from ._arrays import usage
from ._model import Model
from ._progress import Progress, told


def convert(
    source: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    scheme: str = "auto",
    board: str | None = None,
    name: str | None = None,
    example: tuple[Any, ...] | dict[str, Any] | None = None,
    description: dict[str, Any] | None = None,
    scheduler: Any = None,
    progress: Progress = None,
) -> Model:
    """Converts a trained network. The same network gives the same bytes on every machine.

    Args:
        source: A checkpoint's folder; a diffusers pipeline or model; or a `torch.nn.Module`, with `example`.
        out: Where to write the file; nowhere by default.
        scheme: `auto`, `f16`, `w16a16`, `w8a16`, `w8a8`, `w4a16` or `w4a8`.
        board: A board whose memory bounds the model, as `mote.boards()` names them.
        name: The model's name; the checkpoint's own by default.
        example: Example inputs of a module, for `torch.export`: a tuple, or keyword arguments.
        description: What `mote.json` says of a module: roles of its inputs, prediction, ranges of conditions.
        scheduler: The diffusers scheduler of a model that is no pipeline.
        progress: True for a bar (needs tqdm), or a function of (thousandths done, 1000).

    Raises:
        InputError: The checkpoint has no such form; the message says which layer and why.
        TooLargeError: The board cannot hold it; `advice` says what would fit.
    """
    with tempfile.TemporaryDirectory(prefix="mote-") as scratch, told(progress, 1000, "converting") as callback:
        folder = _folder(source, Path(scratch), example, description, scheduler)
        made = Model._of(_mote.convert(folder, scheme, board, name, callback))
    if out is not None:
        made.write(out)
    return made


def _folder(source: Any, scratch: Path, example: Any, description: Any, scheduler: Any) -> Path:
    """The folder of a checkpoint; what is in memory is saved into `scratch` first."""
    if isinstance(source, (str, os.PathLike)):
        return Path(source)
    if hasattr(source, "save_pretrained"):
        if hasattr(source, "components"):
            source.save_pretrained(scratch)
            return scratch
        if scheduler is None:
            raise usage("a diffusers model without its scheduler", "give scheduler=, or the whole pipeline")
        part = "transformer" if "Transformer" in type(source).__name__ else "unet"
        source.save_pretrained(scratch / part)
        scheduler.save_pretrained(scratch / "scheduler")
        return scratch
    if hasattr(source, "state_dict") and hasattr(source, "forward"):
        return _exported(source, scratch, example, description, scheduler)
    raise usage(
        f"cannot convert a {type(source).__name__}",
        "give a folder, a diffusers pipeline or model, or a torch.nn.Module with example=",
    )


def _exported(module: Any, scratch: Path, example: Any, description: Any, scheduler: Any) -> Path:
    """A module through `torch.export`, with `mote.json` beside it."""
    import torch

    if example is None or description is None:
        missing = "example" if example is None else "description"
        raise usage(f"a torch.nn.Module without {missing}=", "give example= inputs and description=, what mote.json says")
    args, kwargs = ((), example) if isinstance(example, dict) else (tuple(example), {})
    training = module.training
    try:
        exported = torch.export.export(module.eval(), args, kwargs)
    except Exception as error:
        raise usage(f"torch.export cannot export the module: {error}", "see torch.export's advice") from error
    finally:
        module.train(training)
    torch.export.save(exported, scratch / "net.pt2")
    (scratch / "mote.json").write_text(json.dumps({"format": 1, **description}))
    if scheduler is not None:
        scheduler.save_pretrained(scratch / "scheduler")
    return scratch
