#!/usr/bin/env python3
"""Images a second of a checkpoint in PyTorch on this GPU: the diffusers network under DDIM, eager and compiled.

    pip install torch diffusers
    python tests/gpu/peer.py tools/assets/fashion16-tiny

Every figure is the median of five batches of 20 steps, after one that warms up; time is taken on the host around a synchronized batch.
"""

import argparse
import statistics
import time

import torch
from diffusers import DDIMScheduler, UNet2DModel

STEPS = 20


@torch.inference_mode()
def sample(network, scheduler, noise, label):
    x = noise.clone()
    for t in scheduler.timesteps:
        out = network(x, t, class_labels=label).sample if label is not None else network(x, t).sample
        x = scheduler.step(out, t, x).prev_sample
    return x


def seconds(run):
    times = []
    for _ in range(6):
        torch.cuda.synchronize()
        began = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("checkpoint")
    arguments.add_argument("--batches", type=int, nargs="+", default=[1, 64, 1024, 8192])
    given = arguments.parse_args()
    print(torch.cuda.get_device_name(), torch.__version__)
    print(f"{'type':10} {'form':10} {'batch':>6} {'ms a step':>10} {'images/s':>10}")
    for dtype in (torch.float16, torch.bfloat16):
        eager = UNet2DModel.from_pretrained(given.checkpoint, subfolder="unet").to("cuda", dtype).eval()
        eager = eager.to(memory_format=torch.channels_last)
        scheduler = DDIMScheduler.from_pretrained(given.checkpoint, subfolder="scheduler")
        scheduler.set_timesteps(STEPS, device="cuda")
        size = eager.config.sample_size
        rows, cols = (size, size) if isinstance(size, int) else size
        for form, network in (("eager", eager), ("compiled", torch.compile(eager, mode="max-autotune"))):
            for batch in given.batches:
                noise = torch.randn(batch, eager.config.in_channels, rows, cols, device="cuda", dtype=dtype)
                classes = eager.config.num_class_embeds
                label = torch.zeros(batch, dtype=torch.long, device="cuda") if classes else None
                took = seconds(lambda: sample(network, scheduler, noise, label))
                name = str(dtype).removeprefix("torch.")
                print(f"{name:10} {form:10} {batch:6} {1e3 * took / STEPS:10.3f} {batch / took:10.0f}", flush=True)


if __name__ == "__main__":
    main()
