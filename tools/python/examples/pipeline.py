"""Runs a diffusers pipeline on the quantized network, and measures how far its images are from the device's own sampler.

    pip install diffusers
    python tools/python/examples/pipeline.py tools/assets/fashion16-tiny --scheme w8a8 --images 64

Both start from the same noise. The pipeline's scheduler computes in float32, the device's sampler in fixed point; the network is the same.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMPipeline

import mote
from mote.diffusers import UNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--scheme", default="w8a8")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    pipeline = DDIMPipeline.from_pretrained(args.checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    model = mote.convert(args.checkpoint, scheme=args.scheme)
    quantized = DDIMPipeline(unet=UNet(model, pipeline.unet.config), scheduler=pipeline.scheduler)
    quantized.set_progress_bar_config(disable=True)

    # The pipeline draws its noise so; the device is given the same.
    noise = torch.randn(args.images, *model.shape, generator=torch.Generator().manual_seed(0))
    run = dict(num_inference_steps=args.steps, batch_size=args.images, output_type="np")
    device = model.sample(range(args.images), start=noise, steps=args.steps).samples
    ours = quantized(generator=torch.Generator().manual_seed(0), **run).images
    theirs = pipeline(generator=torch.Generator().manual_seed(0), **run).images
    device = np.clip(device / 2 + 0.5, 0, 1).transpose(0, 2, 3, 1)
    facts = {
        "scheme": args.scheme,
        "images": args.images,
        "steps": args.steps,
        "pipeline_to_device": distance(ours, device),
        "pipeline_to_float": distance(ours, theirs),
        "device_to_float": distance(device, theirs),
    }
    print(json.dumps(facts, indent=1))


def distance(found: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """PSNR in dB (mean and worst image) and the largest difference, of images from 0 to 1."""
    error = ((found - expected).astype(np.float64) ** 2).mean(axis=(1, 2, 3))
    psnr = -10 * np.log10(np.maximum(error, 1e-20))
    return {"psnr_db": round(float(psnr.mean()), 1), "worst_db": round(float(psnr.min()), 1), "largest": float(np.abs(found - expected).max())}


if __name__ == "__main__":
    main()
