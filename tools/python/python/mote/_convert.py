"""From what a trainer has in memory to a model file."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import _mote
from ._arrays import as_numpy, flag, floats, listed, path as path_of, real, text, usage, whole_number, word, write_safetensors
from ._model import Model
from ._progress import Progress, told

# Notes of a conversion go here, as the command prints them.
LOG = logging.getLogger("mote")


def convert(
    source: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    scheme: str = "auto",
    board: str | None = None,
    flash: str | None = None,
    ram: str | None = None,
    core: str | None = None,
    clock: str | None = None,
    profile: str | None = None,
    arena: str | None = None,
    refine: bool = False,
    name: str | None = None,
    null_class: int | None = None,
    labels: int | None = None,
    condition_range: tuple[float, float] | None = None,
    condition_null: float | None = None,
    latent: tuple[int, int] | None = None,
    learned_variance: str = "cut",
    strip: bool = False,
    example: tuple[Any, ...] | dict[str, Any] | None = None,
    description: dict[str, Any] | None = None,
    scheduler: Any = None,
    calibration: Any = None,
    report: bool | str | os.PathLike[str] = False,
    progress: Progress = None,
) -> Model:
    """Converts a trained network. The same network gives the same bytes on every machine.

    >>> model = mote.convert("my-checkpoint", "my.mote", scheme="w8a8", board="nrf52840")
    >>> model = mote.convert(pipeline, scheme="w4a8", report=True)
    >>> model.report().open()

    Args:
        source: What `mote convert` takes: the path of a checkpoint, an autoencoder or a chain; or a diffusers pipeline or model; or a
            `torch.nn.Module`, with `example`.
        out: Where to write the file; nowhere by default.
        scheme: `auto`, `f16`, `w16a16`, `w8a16`, `w8a8`, `w4a16` or `w4a8`.
        board: A board whose memory bounds the model: a simulated board or a chip, as `mote boards` lists them, or the path of a
            `board.toml`.
        flash, ram, core, clock, profile: A board in place of a named one, or figures in place of its own, as `mote convert` takes them:
            `"512K"`, `"128K"`, `"cortex-m4f"`, `"64MHz"`, `"size"` or `"stock"`.
        arena: `fast`, `small` or `large`; fast by default, small where only that fits the board.
        refine: Of `w8a8`, `w8a16`, `w4a8` and `w4a16`: bring channels to like sizes, round weights together, and give activations 16
            bits by measured error where no arena grows. A note says what a step then takes.
        name: The model's name; the checkpoint's own by default.
        null_class: The label that stands for no class, for guidance and for runs without a label.
        labels: Keep the labels below this one, and that of no class.
        condition_range: The least and the largest number of a condition vector; runs clamp to it.
        condition_null: The number that stood for every number of a condition vector where training dropped it.
        latent: Rows and columns of a latent, for an autoencoder.
        learned_variance: Of a network that learned its variances: `cut` them away, or `keep` them for the sampler `ddpm`.
        strip: Leave names and provenance out of the file.
        example: Example inputs of a module, for `torch.export`: a tuple, or keyword arguments. A batch of 1.
        description: What `mote.json` says of a module: roles of its inputs, prediction, ranges of conditions.
        scheduler: The diffusers scheduler of a model that is no pipeline; or its configuration, a dictionary.
        calibration: Condition vectors `(sample, number)` to calibrate with; of an autoencoder latents `(sample, channel, row, col)`. Of a
            path also `"FILE.npz:KEY"`.
        report: True for a page about the conversion, which `Model.report` gives; or the folder to write its report.html into.
        progress: True for a bar (needs tqdm), or a function of (thousandths done, 1000).

    Raises:
        UsageError: The arguments do not go together, or torch.export does not export the module.
        InputError: The checkpoint has no such form; the message says which layer and why.
        TooLargeError: The board cannot hold it; `advice` says what would fit.
    """
    if word(learned_variance, "learned_variance") not in ("cut", "keep"):
        raise usage(f"learned_variance is {learned_variance!r}", "give 'cut' or 'keep'")

    def named(value: Any, key: str) -> str | None:
        return None if value is None else word(value, key)

    def whole(value: Any, key: str) -> int | None:
        return None if value is None else whole_number(value, key, 2**32 - 1)

    with tempfile.TemporaryDirectory(prefix="mote-") as scratch, told(progress, 1000, "converting") as callback:
        folder = _folder(source, Path(scratch), example, description, scheduler, calibration)
        recipe: dict[str, Any] = {"path": os.path.abspath(folder)} if folder != Path(scratch) else {
            "example": example,
            "description": description,
            "scheduler": getattr(source, "scheduler", None) if scheduler is None else scheduler,
            "calibration": calibration,
        }
        asked: _mote.Asked = {
            "scheme": word(scheme, "scheme"),
            "board": None if board is None else path_of(board, "board"),
            "flash": named(flash, "flash"),
            "ram": named(ram, "ram"),
            "core": named(core, "core"),
            "clock": named(clock, "clock"),
            "profile": named(profile, "profile"),
            "arena": named(arena, "arena"),
            "refine": flag(refine, "refine"),
            "name": None if name is None else text(name, "name"),
            "null_class": whole(null_class, "null_class"),
            "labels": whole(labels, "labels"),
            "calibration": _calibration(calibration, folder, Path(scratch)),
            "condition_range": _pair(condition_range, "condition_range", real),
            "condition_null": None if condition_null is None else real(condition_null, "condition_null"),
            "latent": _pair(latent, "latent", lambda value, key: whole_number(value, key, 2**32 - 1)),
            "keep_variances": learned_variance == "keep",
            "strip": flag(strip, "strip"),
            "report": None if report is False else "mote.convert(...)",
            "report_folder": None if isinstance(report, bool) else path_of(report, "report"),
        }
        try:
            compiled, notes, made_page = _mote.convert(folder, asked, callback)
        except _mote.MoteError as error:
            if folder != Path(scratch):
                raise
            raise _of_memory(error, scratch) from None
    made = Model._of(compiled, recipe)
    made.notes, made._page = [_plain(note, scratch) for note in notes], made_page
    for note in made.notes:
        LOG.warning("%s", note)
    if out is not None:
        made.write(out)
    return made


def _pair(values: Any, name: str, of: Callable[[Any, str], Any]) -> tuple[Any, Any] | None:
    """Two values, each of which `of` checks."""
    if values is None:
        return None
    found = listed(values, name, "give a pair")
    if len(found) != 2:
        raise usage(f"{name} holds {len(found)} values", "give a pair")
    return of(found[0], name), of(found[1], name)


def _calibration(given: Any, folder: Path, scratch: Path) -> str | None:
    """Calibration for what has a folder of its own: a file's name as it is, an array as a file. A module's stands in its mote.json."""
    if given is None or (folder == scratch and (folder / "mote.json").is_file()):
        return None
    if isinstance(given, (str, os.PathLike)):
        return path_of(given, "calibration")
    array = floats(as_numpy(given, "calibration"))
    if array.ndim == 4:
        write_safetensors(scratch / "calibration.safetensors", "noise", array)
        return f"{scratch / 'calibration.safetensors'}:noise"
    if array.ndim != 2:
        raise usage(f"calibration has shape {array.shape}", "give condition vectors (sample, number), or latents of an autoencoder")
    np.savez(scratch / "calibration.npz", cond=array)
    return f"{scratch / 'calibration.npz'}:cond"


def _folder(source: Any, scratch: Path, example: Any, description: Any, scheduler: Any, calibration: Any = None) -> Path:
    """The folder of a checkpoint; what is in memory is saved into `scratch` first."""
    if isinstance(source, (str, bytes, os.PathLike)):
        given = {"example": example, "description": description, "scheduler": scheduler}
        for key, value in given.items():
            if value is not None:
                raise usage(f"{key}= says nothing of a folder, which has files of its own", f"leave {key}= out")
        return Path(path_of(source, "source"))
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
    if type(source).__name__.startswith("Autoencoder"):
        if scheduler is not None:
            raise usage("an autoencoder has no scheduler", "leave scheduler= out")
        _check_weights(source)
        _save(source, scratch)
        return scratch
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


def _plain(text: str, scratch: str) -> str:
    """A text about a folder that nobody sees, as one about what was in memory."""
    for part in ("unet", "transformer"):
        text = text.replace(f"give its folder, {scratch}/{part}", f"give pipeline.{part} with scheduler=")
    return text.replace(f"{scratch}/", "")


def _of_memory(error: _mote.MoteError, scratch: str) -> _mote.MoteError:
    """The same of an error."""
    made = type(error)(_plain(str(error), scratch))
    made.advice = None if error.advice is None else _plain(error.advice, scratch)
    made.code = error.code
    return made


def _first_line(error: BaseException) -> str:
    """An error's first line that says something, with its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'it says no more'}"
