"""The quantized network in place of a diffusers model: any pipeline and scheduler runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from ._arrays import usage
from ._model import Model


class UNet:
    """Answers like the `UNet2DModel`, `UNet1DModel` or `DiTTransformer2DModel` that it replaces.

    >>> pipeline = DDIMPipeline(unet=mote.diffusers.UNet(model), scheduler=scheduler)
    >>> pipeline(num_inference_steps=20).images

    Args:
        model: A model file that was converted from a diffusers network.
        config: The replaced model's `config`; by default what pipelines ask of it.

    The scheduler runs in float32 outside: images are close to those of `Model.sample`, whose sampler is the device's own, but not
    the same bytes. The README says how close. Timesteps may be any numbers that the schedulers of diffusers make, fractions too.
    """

    def __init__(self, model: Model, config: Any = None) -> None:
        import torch

        if not isinstance(model, Model):
            raise usage(f"UNet takes a mote.Model, and was given a {type(model).__name__}", "give what mote.convert returned")
        channels, rows, cols = model.shape
        size = rows if rows == cols else cols if rows == 1 else (rows, cols)
        self.model = model
        self.config = config or SimpleNamespace(in_channels=channels, out_channels=channels, sample_size=size)
        self.dtype = torch.float32
        self.device = torch.device("cpu")

    def __call__(
        self,
        sample: Any = None,
        timestep: Any = None,
        class_labels: Any = None,
        return_dict: bool = True,
        *,
        hidden_states: Any = None,
        **others: Any,
    ) -> Any:
        """The network's output for `sample`, `(batch, channel, row, col)`, which transformers call `hidden_states`; of a signal `(batch, channel, time)`.

        >>> unet(noisy, timestep).sample
        """
        import torch

        for name, value in others.items():
            if value is not None:
                raise usage(f"the network takes no {name}", "leave it out")
        sample = hidden_states if sample is None else sample
        if sample is None or timestep is None:
            raise usage(f"the call has no {'sample' if sample is None else 'timestep'}", "call it as the replaced network is called")
        times = timestep.reshape(-1) if hasattr(timestep, "reshape") else [timestep]
        channels, rows, cols = self.model.shape
        signal = rows == 1 and getattr(sample, "ndim", 4) == 3
        states = sample.reshape(-1, channels, 1, cols) if signal and tuple(sample.shape[1:]) == (channels, cols) else sample
        answer = torch.from_numpy(self.model._predict(states, times, class_labels, between=True))
        if isinstance(sample, torch.Tensor):
            answer = answer.reshape(sample.shape).to(sample.dtype)
        return SimpleNamespace(sample=answer) if return_dict else (answer,)

    forward = __call__

    def parameters(self) -> Iterator[Any]:
        """One empty tensor, of which pipelines take type and device.

        >>> next(unet.parameters()).dtype
        torch.float32
        """
        import torch

        yield torch.empty(0)

    def to(self, *_: Any, **__: Any) -> UNet:
        """Stays on the processor.

        >>> unet.to("cuda").device
        device(type='cpu')
        """
        return self

    def eval(self) -> UNet:
        """Is never in training.

        >>> unet.eval() is unet
        True
        """
        return self
