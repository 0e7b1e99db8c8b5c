"""Trains a network of your own in PyTorch by flow matching, and exports it for Mote.

    pip install torch numpy
    python tools/python/examples/module.py tools/assets/digits8.npz -o own

Nothing of it is a library's: a `torch.nn.Module` that takes a sample and a time, trained to give the velocity from noise to data (Lipman et
al. 2023). The folder holds the exported network, and in `mote.json` what the file itself does not say.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Own(nn.Module):
    """A sample of 8 x 8 pixels is 16 tokens of 2 x 2; three blocks of attention and a hidden layer, each under the time's gains."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.head, self.tail = nn.Conv2d(1, width, 2, stride=2), nn.Linear(width, 4)
        self.place = nn.Parameter(0.02 * torch.randn(16, width))
        self.register_buffer("rates", 1000.0 * 10000.0 ** (-torch.arange(16) / 16))
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.gains = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(3))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(7))
        self.parts = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(3))
        self.joins = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.hidden = nn.ModuleList(nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)) for _ in range(3))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        angles = t[:, None] * self.rates
        time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        h = self.head(x).flatten(2).transpose(1, 2) + self.place
        for i in range(3):
            scale, shift = self.gains[i](time)[:, None].chunk(2, -1)
            normed = self.norms[2 * i](h) * (1 + scale) + shift
            q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in self.parts[i](normed).chunk(3, -1))
            h = h + self.joins[i](functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            h = h + self.hidden[i](self.norms[2 * i + 1](h))
        out = self.tail(self.norms[6](h)).transpose(1, 2).unflatten(2, (4, 4))
        return functional.pixel_shuffle(out, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=4000)
    args = parser.parse_args()

    torch.manual_seed(0)
    data = torch.tensor(np.load(args.data)["train_x"]).float().reshape(-1, 1, 8, 8)
    data = data / (data.max() / 2) - 1
    net = Own()
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=args.updates)
    for update in range(args.updates):
        x, t = data[torch.randint(len(data), (128,))], torch.rand(128)
        noise = torch.randn_like(x)
        at = t[:, None, None, None]
        loss = functional.mse_loss(net((1 - at) * noise + at * x, t), x - noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        mean.update_parameters(net)
        if (update + 1) % 500 == 0:
            print(f"update {update + 1} of {args.updates}, loss {loss.item():.3f}", flush=True)

    described = {"format": 1, "inputs": {"x": "sample", "t": "timestep"}, "layout": "(channel, row, col)"}
    described["schedule"] = {"kind": "flow", "direction": "data_at_1", "timestep_scale": 1.0}
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "mote.json").write_text(json.dumps(described, indent=1))
    example = (torch.zeros(1, 1, 8, 8), torch.zeros(1))
    torch.export.save(torch.export.export(mean.module.eval(), example), args.output / "net.pt2")
    print(f"{args.output}: {sum(p.numel() for p in net.parameters())} parameters")


if __name__ == "__main__":
    main()
