"""Trains a small network of heartbeats with PyTorch, and exports it for Mote.

    pip install torch safetensors
    python tools/python/examples/ecg.py -o ecg

The beats are made: five waves P, Q, R, S, T, each a Gaussian over the beat's phase (McSharry et al. 2003), with a heart's own places,
heights and widths for each signal. A signal has 128 samples, two beats or so. The folder holds the exported network, what Mote asks
beside it, and `beats.safetensors` with signals that training does not see.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

LENGTH = 128
# Place in the beat, height, width of P, Q, R, S, T.
WAVES = torch.tensor([[-0.20, 0.12, 0.040], [-0.04, -0.12, 0.012], [0.0, 1.0, 0.014], [0.04, -0.25, 0.014], [0.28, 0.30, 0.060]])


def beats(count: int) -> torch.Tensor:
    """Signals `(signal, 1, time)` from -1 to 1."""
    spread = 1 + 0.15 * torch.randn(count, 5, 3).clamp(-2, 2)
    place, height, width = (WAVES * spread).unbind(-1)
    pace = 1.8 + 0.6 * torch.rand(count, 1)
    phase = torch.rand(count, 1) + pace * torch.arange(LENGTH) / LENGTH
    # The distance to each wave's nearest repetition.
    distance = phase[:, None, :] - place[:, :, None]
    distance = distance - distance.round()
    signal = (height[:, :, None] * torch.exp(-(distance**2) / (2 * width[:, :, None] ** 2))).sum(1)
    return (1.4 * signal - 0.5).clamp(-1, 1)[:, None]


class Block(nn.Module):
    """Two convolutions around a skip; the step's features scale and shift the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, channels)
        self.first = nn.Conv1d(channels, channels, 5, padding=2)
        self.step = nn.Linear(64, channels)
        self.second = nn.Conv1d(channels, channels, 5, padding=2)

    def forward(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        h = self.first(functional.silu(self.norm(x)))
        return x + self.second(functional.silu(h + self.step(step)[:, :, None]))


class Net(nn.Module):
    """A U-Net of three widths of time."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.register_buffer("rates", 10000.0 ** (-torch.arange(16) / 16))
        self.step = nn.Sequential(nn.Linear(32, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.head = nn.Conv1d(1, channels, 5, padding=2)
        self.down = nn.ModuleList(nn.Conv1d(channels, channels, 4, stride=2, padding=1) for _ in range(3))
        self.inner = nn.ModuleList(Block(channels) for _ in range(4))
        self.outer = nn.ModuleList(Block(channels) for _ in range(3))
        self.up = nn.ModuleList(nn.ConvTranspose1d(channels, channels, 4, stride=2, padding=1) for _ in range(3))
        self.join = nn.ModuleList(nn.Conv1d(2 * channels, channels, 1) for _ in range(3))
        self.norm = nn.GroupNorm(4, channels)
        self.tail = nn.Conv1d(channels, 1, 5, padding=2)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        angles = t[:, None] * self.rates
        step = self.step(torch.cat([angles.sin(), angles.cos()], 1))
        x, held = self.head(x), []
        for block, down in zip(self.inner, self.down):
            x = block(x, step)
            held.append(x)
            x = down(x)
        x = self.inner[3](x, step)
        for block, up, join in zip(self.outer, self.up, self.join):
            x = block(join(torch.cat([up(x), held.pop()], 1)), step)
        return self.tail(functional.silu(self.norm(x)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()

    torch.manual_seed(0)
    bars = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
    net = Net()
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=args.updates)
    began = time.time()
    for update in range(args.updates):
        x, t = beats(args.batch), torch.randint(1000, (args.batch,))
        noise, bar = torch.randn_like(x), bars[t][:, None, None]
        loss = functional.mse_loss(net(bar.sqrt() * x + (1 - bar).sqrt() * noise, t.float()), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        mean.update_parameters(net)
        if (update + 1) % 500 == 0:
            print(f"update {update + 1} of {args.updates}, loss {loss.item():.4f}, {time.time() - began:.0f} s", flush=True)

    scheduler = {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
    scheduler |= {"prediction_type": "epsilon", "clip_sample": False}
    described = {"format": 1, "inputs": {"x": "sample", "t": "timestep"}, "layout": "(channel, time)"}
    (args.output / "scheduler").mkdir(parents=True, exist_ok=True)
    (args.output / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler, indent=1))
    (args.output / "mote.json").write_text(json.dumps(described, indent=1))
    example = (torch.zeros(1, 1, LENGTH), torch.zeros(1))
    torch.export.save(torch.export.export(mean.module.eval(), example), args.output / "net.pt2")
    save_file({"beats": beats(16).contiguous()}, args.output / "beats.safetensors")
    print(f"{args.output}: {sum(p.numel() for p in net.parameters())} parameters")


if __name__ == "__main__":
    main()
