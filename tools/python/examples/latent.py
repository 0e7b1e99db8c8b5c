"""Trains a small latent model with PyTorch and diffusers: an autoencoder of digits, and a diffusion transformer of its latents.

    pip install torch diffusers numpy
    python tools/python/examples/latent.py tools/assets/digits8.npz -o digits-latent

The digits of 8 x 8 pixels are drawn at 32 x 32. An `AutoencoderTiny` makes latents of 4 x 8 x 8 of them, trained for the absolute difference of
pictures. A `DiTTransformer2DModel` learns their noise (Peebles and Xie 2023), with the digit as its label. What is saved is a
`DiTPipeline`'s folder, in float16.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, DiTTransformer2DModel
from torch.nn import functional

SIDE = 32


def digits(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """`(image, 1, 32, 32)` from -1 to 1, and the digit of each."""
    arrays = np.load(path)
    pixels = torch.tensor(arrays["train_x"]).float().reshape(-1, 1, 8, 8)
    pixels = functional.interpolate(pixels / (pixels.max() / 2) - 1, size=SIDE, mode="bicubic").clamp(-1, 1)
    return pixels, torch.tensor(arrays["train_y"]).long()


def rate_of(net: torch.nn.Module, peak: float, updates: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer = torch.optim.Adam(net.parameters(), lr=peak)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=updates)


def autoencoder(data: torch.Tensor, updates: int) -> AutoencoderTiny:
    """Trained, with latents of unit variance."""
    net = AutoencoderTiny(
        in_channels=1, out_channels=1, latent_channels=4, encoder_block_out_channels=(12, 12, 12), decoder_block_out_channels=(12, 12, 12),
        num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1),
    )
    optimizer, rate = rate_of(net, 4e-3, updates)
    for update in range(updates):
        x = data[torch.randint(len(data), (32,))]
        latents = net.encoder(x)
        # A little noise keeps the decoder from minding every digit of a latent.
        loss = functional.l1_loss(net.decoder(latents + 0.1 * torch.randn_like(latents)), x) + 1e-3 * latents.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        if update % 100 == 0:
            print(f"autoencoder, update {update}: {loss.item():.4f}", flush=True)
    return net.eval()


def transformer(latents: torch.Tensor, labels: torch.Tensor, scheduler: DDIMScheduler, args: argparse.Namespace) -> DiTTransformer2DModel:
    """The mean of late weights."""
    net = DiTTransformer2DModel(
        num_attention_heads=4, attention_head_dim=10, in_channels=4, out_channels=4, num_layers=2, sample_size=SIDE // 4, patch_size=2, num_embeds_ada_norm=10,
    )
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    optimizer, rate = rate_of(net, 3e-3, args.updates)
    began = time.time()
    for update in range(args.updates):
        at = torch.randint(len(latents), (args.batch,))
        t, noise = torch.randint(scheduler.config.num_train_timesteps, (args.batch,)), torch.randn_like(latents[at])
        noisy = scheduler.add_noise(latents[at], noise, t)
        loss = functional.mse_loss(net(noisy, timestep=t, class_labels=labels[at]).sample, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        mean.update_parameters(net)
        if update % 250 == 0:
            print(f"transformer, update {update}: {loss.item():.4f}, {time.time() - began:.0f} s", flush=True)
    return mean.module.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--autoencoder-updates", type=int, default=800)
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()

    torch.manual_seed(0)
    data, labels = digits(args.data)
    vae = autoencoder(data, args.autoencoder_updates)
    with torch.no_grad():
        latents = vae.encoder(data)
    vae.register_to_config(scaling_factor=1 / latents.std().item())
    scheduler = DDIMScheduler(num_train_timesteps=1000, clip_sample=False)
    net = transformer(latents * vae.config.scaling_factor, labels, scheduler, args)

    net.half().save_pretrained(args.output / "transformer")
    vae.half().save_pretrained(args.output / "vae")
    scheduler.save_pretrained(args.output / "scheduler")
    parts = {"transformer": ["diffusers", "DiTTransformer2DModel"], "vae": ["diffusers", "AutoencoderTiny"], "scheduler": ["diffusers", "DDIMScheduler"]}
    (args.output / "model_index.json").write_text(json.dumps({"_class_name": "DiTPipeline", **parts}, indent=1) + "\n")
    print(f"{args.output}: {sum(weight.numel() for weight in net.parameters()):,} and {sum(weight.numel() for weight in vae.decoder.parameters()):,} weights")


if __name__ == "__main__":
    main()
