"""The quantized network in place of a diffusers model: any pipeline and scheduler runs on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ._model import Model


class UNet:
    """Answers like the `UNet2DModel` that it replaces.

    Args:
        model: A model file that was converted from a diffusers U-Net.
        config: The replaced model's `config`; by default what pipelines ask of it.

    The scheduler runs in float32 outside: images are close to those of `Model.sample`, whose sampler is the device's own, but not
    the same bytes.
    """

    def __init__(self, model: Model, config: Any = None) -> None:
        import torch

        channels, rows, cols = model.shape
        size = rows if rows == cols else (rows, cols)
        self.model = model
        self.config = config or SimpleNamespace(in_channels=channels, out_channels=channels, sample_size=size)
        self.dtype = torch.float32
        self.device = torch.device("cpu")

    def __call__(self, sample: Any, timestep: Any, class_labels: Any = None, return_dict: bool = True) -> Any:
        """The network's output for `sample`, `(batch, channel, row, col)`."""
        import torch

        times = timestep.reshape(-1) if hasattr(timestep, "reshape") else [timestep]
        answer = torch.from_numpy(self.model.predict(sample, times, labels=class_labels).copy())
        return SimpleNamespace(sample=answer) if return_dict else (answer,)

    forward = __call__

    def to(self, *_: Any, **__: Any) -> UNet:
        """Stays on the processor."""
        return self

    def eval(self) -> UNet:
        """Is never in training."""
        return self
