"""From what a trainer has in memory to a model file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import _mote
from ._arrays import as_numpy, usage
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
    calibration: Any = None,
    progress: Progress = None,
) -> Model:
    """Converts a trained network. The same network gives the same bytes on every machine.

    Args:
        source: A checkpoint's folder; a diffusers pipeline or model; or a `torch.nn.Module`, with `example`.
        out: Where to write the file; nowhere by default.
        scheme: `auto`, `f16`, `w16a16`, `w8a16`, `w8a8`, `w4a16` or `w4a8`.
        board: A board whose memory bounds the model, as `mote.boards()` names them.
        name: The model's name; the checkpoint's own by default.
        example: Example inputs of a module, for `torch.export`: a tuple, or keyword arguments. A batch of 1.
        description: What `mote.json` says of a module: roles of its inputs, prediction, ranges of conditions.
        scheduler: The diffusers scheduler of a model that is no pipeline; or its configuration, a dictionary.
        calibration: Condition vectors `(sample, number)` to calibrate with, for a module that takes them.
        progress: True for a bar (needs tqdm), or a function of (thousandths done, 1000).

    Raises:
        UsageError: The arguments do not go together, or torch.export does not export the module.
        InputError: The checkpoint has no such form; the message says which layer and why.
        TooLargeError: The board cannot hold it; `advice` says what would fit.
    """
    with tempfile.TemporaryDirectory(prefix="mote-") as scratch, told(progress, 1000, "converting") as callback:
        folder = _folder(source, Path(scratch), example, description, scheduler, calibration)
        recipe: dict[str, Any] = {"path": os.path.abspath(folder)} if folder != Path(scratch) else {
            "example": example,
            "description": description,
            "scheduler": getattr(source, "scheduler", None) if scheduler is None else scheduler,
            "calibration": calibration,
        }
        try:
            made = Model._of(_mote.convert(folder, scheme, board, name, callback), recipe)
        except _mote.MoteError as error:
            if folder != Path(scratch):
                raise
            raise _of_memory(error, scratch) from None
    if out is not None:
        made.write(out)
    return made


def _folder(source: Any, scratch: Path, example: Any, description: Any, scheduler: Any, calibration: Any = None) -> Path:
    """The folder of a checkpoint; what is in memory is saved into `scratch` first."""
    if isinstance(source, (str, os.PathLike)):
        given = {"example": example, "description": description, "scheduler": scheduler, "calibration": calibration}
        for key, value in given.items():
            if value is not None:
                raise usage(f"{key}= says nothing of a folder, which has files of its own", f"leave {key}= out")
        return Path(source)
    # What torch.compile and the wrappers of parallel training hold.
    source = getattr(source, "_orig_mod", source)
    if type(source).__name__ in ("DataParallel", "DistributedDataParallel"):
        source = source.module
    if isinstance(source, type):
        raise usage(f"{source.__name__} is a class, not a network", "give an object of it, with its weights")
    if hasattr(source, "save_pretrained"):
        return _saved(source, scratch, scheduler)
    if hasattr(source, "state_dict") and hasattr(source, "forward"):
        return _exported(source, scratch, example, description, scheduler, calibration)
    raise usage(
        f"cannot convert a {type(source).__name__}",
        "give a folder, a diffusers pipeline or model, or a torch.nn.Module with example=",
    )


def _saved(source: Any, scratch: Path, scheduler: Any) -> Path:
    """A diffusers pipeline, or a model with its scheduler."""
    whole = hasattr(source, "components")
    if whole and scheduler is not None:
        raise usage("a pipeline has a scheduler of its own", "leave scheduler= out, or set pipeline.scheduler")
    if not whole and scheduler is None:
        raise usage("a diffusers model without its scheduler", "give scheduler=, or the whole pipeline")
    for part in source.components.values() if whole else [source]:
        if hasattr(part, "state_dict"):
            _check_weights(part)
    if whole:
        _save(source, scratch)
        return scratch
    part = "transformer" if "Transformer" in type(source).__name__ else "unet"
    _save(source, scratch / part)
    _save_scheduler(scheduler, scratch)
    return scratch


def _save(source: Any, folder: Path) -> None:
    try:
        source.save_pretrained(folder)
    except (NotImplementedError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise usage(f"save_pretrained cannot save a {type(source).__name__}: {_first_line(error)}", "see that it saves by itself") from error


def _save_scheduler(scheduler: Any, scratch: Path) -> None:
    if isinstance(scheduler, Mapping):
        (scratch / "scheduler").mkdir()
        (scratch / "scheduler" / "scheduler_config.json").write_text(json.dumps(dict(scheduler)))
    elif hasattr(scheduler, "save_pretrained"):
        _save(scheduler, scratch / "scheduler")
    else:
        raise usage(f"the scheduler is a {type(scheduler).__name__}", "give a diffusers scheduler, or what its scheduler_config.json holds")


def _check_weights(module: Any) -> None:
    """Refuses weights that are not there or are no numbers, by their name."""
    import torch

    for name, tensor in module.named_parameters():
        if tensor.is_meta:
            raise usage(f"the weight {name} is on the device meta: it has no numbers", "load the weights first")
        if not torch.isfinite(tensor.detach()).all():
            raise usage(f"the weight {name} holds NaN or an infinity", "convert weights from before training diverged")


def _exported(module: Any, scratch: Path, example: Any, description: Any, scheduler: Any, calibration: Any) -> Path:
    """A module through `torch.export`, with `mote.json` beside it."""
    import torch

    if example is None or description is None:
        missing = "example" if example is None else "description"
        raise usage(f"a torch.nn.Module without {missing}=", "give example= inputs and description=, what mote.json says")
    if not isinstance(description, Mapping):
        raise usage(f"description is a {type(description).__name__}", "give a dictionary, what mote.json says")
    if isinstance(example, torch.Tensor):
        raise usage("example is one tensor", "give a tuple of the module's inputs, or a dictionary of them by name")
    _check_weights(module)
    args, kwargs = ((), dict(example)) if isinstance(example, Mapping) else (tuple(example), {})
    modes = [(part, part.training) for part in module.modules()]
    try:
        try:
            module.eval()
        except NotImplementedError:
            # A module that was exported already stays as it was exported.
            pass
        exported = torch.export.export(module, args, kwargs)
    except Exception as error:
        raise usage(
            f"torch.export cannot export the module: {_first_line(error)}",
            "call torch.export.export(module.eval(), example) yourself to see all it says; no step may depend on the numbers of a tensor",
        ) from error
    finally:
        for part, mode in modes:
            part.training = mode
    torch.export.save(exported, scratch / "net.pt2")
    says = {"format": 1, **description}
    if calibration is not None:
        rows = as_numpy(calibration, "calibration").astype("<f4")
        if rows.ndim != 2:
            raise usage(f"calibration has shape {rows.shape}", "give condition vectors (sample, number)")
        np.savez(scratch / "calibration.npz", cond=rows)
        says["condition"] = {**says.get("condition", {}), "calibration": "calibration.npz:cond"}
    try:
        (scratch / "mote.json").write_text(json.dumps(says))
    except TypeError as error:
        raise usage(f"description is no JSON: {error}", "give what mote.json says: words, numbers and lists") from error
    if scheduler is not None:
        _save_scheduler(scheduler, scratch)
    return scratch


def _of_memory(error: _mote.MoteError, scratch: str) -> _mote.MoteError:
    """An error of a folder that nobody sees, as one of what was in memory."""

    def told(text: str) -> str:
        for part in ("unet", "transformer"):
            text = text.replace(f"give its folder, {scratch}/{part}", f"give pipeline.{part} with scheduler=")
        return text.replace(f"{scratch}/", "")

    made = type(error)(told(str(error)))
    made.advice = None if error.advice is None else told(error.advice)
    made.code = error.code
    return made


def _first_line(error: BaseException) -> str:
    """An error's first line that says something, with its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'it says no more'}"
