"""Trains a small network of digits with PyTorch and diffusers, and saves it as diffusers does.

    pip install torch diffusers numpy
    python tools/python/examples/mnist.py tools/assets/digits8.npz -o digits

The data is an archive with `train_x` (image, row, col), or MNIST's own `train-images-idx3-ubyte.gz`, which is made smaller: 28 x 28 pixels
become 8 x 8, so that the network fits a BBC micro:bit. The loss is the mean squared error of the noise (Ho, Jain and Abbeel 2020), and
what is saved is the mean of late weights.
"""

from __future__ import annotations

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch.nn import functional


def images(path: Path) -> torch.Tensor:
    """`(image, 1, 8, 8)`, from -1 to 1."""
    if path.suffix == ".npz":
        pixels = torch.tensor(np.load(path)["train_x"]).float().reshape(-1, 1, 8, 8)
    else:
        raw = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
        pixels = torch.tensor(np.frombuffer(raw, np.uint8, offset=16).copy()).float().reshape(-1, 1, 28, 28)
        pixels = functional.avg_pool2d(functional.pad(pixels, (2, 2, 2, 2)), 4)
    return pixels / (pixels.max() / 2) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()

    torch.manual_seed(0)
    data = images(args.data)
    net = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(12, 12), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"), add_attention=False,
    )
    scheduler = DDPMScheduler(clip_sample=False)
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=args.updates)
    began = time.time()
    for update in range(args.updates):
        x = data[torch.randint(len(data), (args.batch,))]
        t = torch.randint(1000, (args.batch,))
        noise = torch.randn_like(x)
        loss = functional.mse_loss(net(scheduler.add_noise(x, noise, t), t).sample, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        mean.update_parameters(net)
        if (update + 1) % 500 == 0:
            print(f"update {update + 1} of {args.updates}, loss {loss.item():.3f}, {time.time() - began:.0f} s", flush=True)
    DDPMPipeline(mean.module, scheduler).save_pretrained(args.output)
    print(f"{args.output}: {sum(p.numel() for p in net.parameters())} parameters of {len(data)} images")


if __name__ == "__main__":
    main()
