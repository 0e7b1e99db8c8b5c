"""Quantization-aware training in PyTorch, by the integer engine's own numbers.

>>> model = mote.convert(pipeline, scheme="w4a8")
>>> net = mote.torch.QuantizedModule(pipeline.unet, model)
>>> loss = (net(noisy, timestep).sample - noise).square().mean()
>>> loss.backward(); optimizer.step()
>>> net.model.write("trained.mote")
"""

from __future__ import annotations

import copy
import inspect
import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from . import _mote
from ._arrays import usage
from ._convert import _folder
from ._model import Model
from ._weights import Weights

# What diffusers calls the inputs of its networks.
ROLES = {"sample": "sample", "hidden_states": "sample", "timestep": "timestep", "class_labels": "class"}


class QuantizedModule(torch.nn.Module):
    """A network whose forward pass is that of its model file, for training under quantization.

    The output is the integer engine's own, bit for bit what a device computes. Gradients are the float network's, as if nothing were
    rounded (the straight-through estimator, Bengio et al. 2013), taken at the rounded weights where a layer has its weights whole.
    Weights are rounded again whenever they have moved; the number formats stay those of `model`. It is called as `net` is, and its
    parameters are those of `net`: any optimizer and any trainer will do.

    >>> net = mote.torch.QuantizedModule(unet, mote.convert(pipeline, scheme="w4a8"))
    >>> net(noisy, timestep).sample.square().mean().backward()

    Args:
        net: The network that `model` was converted from, in float32 on any device. Dropout and the like count for gradients alone.
        model: What `mote.convert` returned for it, in this process, in a scheme of integers.
        start: `model`: weights of 4 bits are first moved to where they round as the converter rounded them, which minds how errors
            cancel. `net`: they stay.

    Attributes:
        net: The float network.

    Raises:
        UsageError: The model was opened from a file, or is not one of `net`.
        RefusedError: Its formats cannot stand (a decoder, f16, layers in other units).
    """

    def __init__(self, net: torch.nn.Module, model: Model, *, start: str = "model") -> None:
        super().__init__()
        if not isinstance(net, torch.nn.Module) or not isinstance(model, Model):
            raise usage(
                f"QuantizedModule takes a torch.nn.Module and a mote.Model, and was given {type(net).__name__} and {type(model).__name__}",
                "give the network and what mote.convert returned for it",
            )
        if start not in ("model", "net"):
            raise usage(f"start is {start!r}", "give 'model' or 'net'")
        self.net = net
        self._model = model
        self._known: dict[str, torch.Tensor] = {}
        self._rounded: dict[str, torch.Tensor] = {}
        self._names: dict[str, str] = {}
        # Types of the network's outputs, by what was asked of it.
        self._kinds: dict[bool, type] = {}
        folder = tempfile.mkdtemp(prefix="mote-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = Path(folder)
        _prepare(net, model, self._folder)
        self._roles, self._flow = _roles(self._folder)
        self._weights = Weights(self._folder)
        self._weights.write(self._state())
        self._order = _mote.layout(self._folder)
        self._match(start)
        self._follow()

    @property
    def model(self) -> Model:
        """The model file of the weights as they are now: what `forward` computes, to be written and deployed."""
        self._follow()
        return self._model

    def train(self, mode: bool = True) -> QuantizedModule:
        """As of any module. A network that was exported stays as it was exported.

        >>> net.train().training
        True
        """
        self.training = mode
        try:
            self.net.train(mode)
        except NotImplementedError:
            pass
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What `net` returns, with the model's numbers in place of its own.

        >>> torch.equal(net(x, t).sample, torch.from_numpy(net.model.predict(x, t)))
        True

        Raises:
            UsageError: Inputs that the model does not take: their extents, NaN, a timestep that is none of its own.
        """
        self._follow()
        inputs, whole = self._inputs(args, kwargs)
        with torch.no_grad():
            answer = self._answer(inputs)
        kind = self._kinds.get(whole)
        if not torch.is_grad_enabled() and kind is not None and not issubclass(kind, (list, tuple)):
            return _rebuilt(kind, answer)
        found = self._float(args, kwargs)
        own = _tensor(found)
        if own.shape != answer.shape:
            raise usage(
                f"the network gives {tuple(own.shape)}, the model {tuple(answer.shape)}",
                "a network that learns its variance is trained without it here; give extents of the converted example",
            )
        self._kinds[whole] = type(found)
        # In float32 whatever autocast makes of the network's own: the engine's numbers would be rounded.
        through = _Through.apply(own, answer.to(own.device, torch.promote_types(own.dtype, torch.float32)))
        return (through, *found[1:]) if isinstance(found, (list, tuple)) else _rebuilt(type(found), through)

    def _float(self, args: Any, kwargs: Any) -> Any:
        """The float network at the rounded weights; gradients reach the weights themselves."""
        if not torch.is_grad_enabled() or not self._rounded:
            return self.net(*args, **kwargs)
        own = dict(self.net.named_parameters())
        moved = {id(own[name]): own[name] + (rounded - own[name]).detach() for name, rounded in self._rounded.items()}
        # Every module once, and every place of a parameter that several share.
        places = (
            (f"{path}.{name}" if path else name, parameter)
            for path, module in self.net.named_modules()
            for name, parameter in module.named_parameters(recurse=False)
        )
        at = {name: moved[id(parameter)] for name, parameter in places if id(parameter) in moved}
        return torch.func.functional_call(self.net, at, args, kwargs, tie_weights=False)

    def _answer(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """The model's output, in the network's own order of axes."""
        sample = inputs["sample"]
        if not isinstance(sample, torch.Tensor):
            raise usage(f"the sample is a {type(sample).__name__}", "give a tensor")
        rank = len(self._order) + 1
        shape = self._model.shape
        own = tuple(shape[axis] for axis in self._order)
        if sample.dim() != rank or tuple(sample.shape[1:]) != own:
            raise usage(f"the sample has shape {tuple(sample.shape)}", f"give (n, {', '.join(map(str, own))})")
        # (sample, channel, row, col), whatever axes the network has.
        place = [self._order.index(axis) + 1 for axis in range(3) if axis in self._order]
        x = sample.detach().float().permute(0, *place).reshape(len(sample), *shape)
        answer = self._model.predict(
            x.cpu(),
            self._times(inputs["timestep"]),
            labels=_labels(inputs.get("class")),
            condition=_on_cpu(inputs.get("condition")),
        )
        y = torch.from_numpy(answer)
        y = y.reshape(len(sample), *(shape[axis] for axis in range(3) if axis in self._order))
        y = y.permute(0, *(1 + sorted(self._order).index(axis) for axis in self._order))
        if self._flow is not None and self._flow[1]:
            y = -y
        return y.to(sample.device)

    def _times(self, given: Any) -> np.ndarray:
        """Timesteps as the model has them."""
        times = np.asarray(_on_cpu(given), dtype=np.float64).reshape(-1)
        if self._flow is None:
            return times
        scale, data_at_1 = self._flow
        share = times / scale
        return self._model.train_steps * (1 - share if data_at_1 else share)

    def _inputs(self, args: Any, kwargs: Any) -> tuple[dict[str, Any], bool]:
        """Inputs by their role, and whether diffusers is asked for a named output."""
        try:
            bound = inspect.signature(self.net.forward).bind(*args, **kwargs)
        except TypeError as error:
            raise usage(f"the network cannot be called so: {error}", "call it as the network itself is called") from error
        found = {self._roles[name]: value for name, value in bound.arguments.items() if name in self._roles and value is not None}
        for role in ("sample", "timestep"):
            if role not in found:
                raise usage(f"the call has no {role}", "call it as the network itself is called")
        return found, bool(bound.arguments.get("return_dict", True))

    def _state(self) -> dict[str, torch.Tensor]:
        return {name: tensor.detach() for name, tensor in self.net.state_dict().items()}

    def _follow(self) -> None:
        """Rounds the weights again where they have moved."""
        state = self._state()
        if self._known and all(torch.equal(tensor, self._known[name]) for name, tensor in state.items()):
            return
        self._weights.write(state)
        self._model = self._model._requantized(self._folder)
        found = self._model._rounded(self._folder)
        self._rounded = {}
        for name, key in self._names.items():
            if key in found:
                like = state[name]
                numbers = torch.from_numpy(found[key][1].copy()).reshape(like.shape)
                self._rounded[name] = numbers.to(device=like.device, dtype=like.dtype)
        self._known = {name: tensor.clone() for name, tensor in state.items()}

    def _match(self, start: str) -> None:
        """Which parameters the model has whole: those of the same numbers. With `start`, moves them to the model's own."""
        found = self._model._rounded(self._folder)
        for name, parameter in self.net.named_parameters():
            flat = parameter.detach().float().cpu().reshape(-1).numpy()
            names = [name] if name in found else list(found)
            for key in names:
                if found[key][0].shape == flat.shape and np.array_equal(found[key][0], flat):
                    self._names[name] = key
                    break
        if start == "model":
            own = dict(self.net.named_parameters())
            with torch.no_grad():
                for name, key in self._names.items():
                    own[name].copy_(torch.from_numpy(found[key][2].copy()).reshape(own[name].shape))

    def __deepcopy__(self, memo: dict[int, Any]) -> QuantizedModule:
        # A copy writes its weights elsewhere. Its weights round as those here, wherever they began.
        made = QuantizedModule(copy.deepcopy(self.net, memo), self.model, start="net")
        made.train(self.training)
        memo[id(self)] = made
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise usage(
            "a QuantizedModule is not pickled: its model follows a folder of this process",
            "save net.state_dict() and net.model.write(...)",
        )


class _Through(torch.autograd.Function):
    """The second tensor, with the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, own: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        ctx.kind = own.dtype
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient.to(ctx.kind), None


def _roles(folder: Path) -> tuple[dict[str, str], tuple[float, bool] | None]:
    """The roles of the network's inputs; of a flow without a scheduler, the network's time at 1 and whether data lie there."""
    manifest = folder / "mote.json"
    description = json.loads(manifest.read_text()) if manifest.is_file() else {}
    schedule = description.get("schedule") or {}
    flow = None
    if schedule.get("kind") == "flow":
        flow = (float(schedule.get("timestep_scale", 1.0)), schedule.get("direction") == "data_at_1")
    return dict(description.get("inputs") or ROLES), flow


def _prepare(net: torch.nn.Module, model: Model, folder: Path) -> None:
    """A checkpoint of `net` in `folder`, as the model was converted from."""
    recipe = model._recipe
    if recipe is None:
        raise usage("a model file does not hold what its conversion found out", "give what mote.convert returned in this process")
    source = recipe.get("path")
    if source is None:
        made = _folder(net, folder, recipe.get("example"), recipe.get("description"), recipe.get("scheduler"), recipe.get("calibration"))
        assert made == folder
        return
    if not Path(source).is_dir():
        raise usage(f"the model was converted from the file {source}", "convert the network in memory, or its folder")
    shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)


def _tensor(found: Any) -> torch.Tensor:
    """The output's tensor: itself, a `sample`, or the first of several."""
    for candidate in (found, getattr(found, "sample", None), found[0] if isinstance(found, (tuple, list)) and found else None):
        if isinstance(candidate, torch.Tensor):
            return candidate
    raise usage(f"the network returns a {type(found).__name__}", "have it return a tensor, or one named sample")


def _rebuilt(kind: Any, answer: torch.Tensor) -> Any:
    """An output of the network's own form around `answer`."""
    if issubclass(kind, torch.Tensor):
        return answer
    try:
        return kind(sample=answer)
    except TypeError:
        return SimpleNamespace(sample=answer)


def _on_cpu(values: Any) -> Any:
    return values.detach().cpu() if isinstance(values, torch.Tensor) else values


def _labels(values: Any) -> Any:
    return None if values is None else np.asarray(_on_cpu(values)).reshape(-1)
