"""Trains a network under the rounding of its model file, in a plain PyTorch loop.

    pip install diffusers
    python tools/python/examples/qat.py tools/assets/fashion16-tiny --scheme w4a8 --minutes 14 -o trained.mote

The targets are the float network's own outputs along its own trajectories, so no data are needed. An error at a step counts as far as
it moves the image: by the difference of two noise levels, and by what the rest of the run leaves of it. Prints the mean PSNR of images
against those of the float network, from seeds that training does not see, before and after.

The model begins where the converter has done its best: a large rate destroys that first, and takes long to come back to it.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import torch
from diffusers import DDIMPipeline, DDIMScheduler

import mote
from mote.torch import QuantizedModule


@torch.no_grad()
def trajectories(teacher: torch.nn.Module, scheduler: DDIMScheduler, count: int, steps: int, seed: int) -> tuple[torch.Tensor, ...]:
    """States, timesteps and targets of `count` runs of the float network, `(step, run, ...)`; what an error of each step counts."""
    config = teacher.config
    x = torch.randn(count, config.in_channels, config.sample_size, config.sample_size, generator=torch.Generator().manual_seed(seed))
    scheduler.set_timesteps(steps)
    states, times, targets = [], [], []
    for t in scheduler.timesteps:
        out = teacher(x, t).sample
        states.append(x)
        times.append(t.expand(count))
        targets.append(out)
        x = scheduler.step(out, t, x).prev_sample
    variance = float(x.var())
    bars = scheduler.alphas_cumprod[scheduler.timesteps]
    sigmas = ((1 - bars) / bars).sqrt().double()
    after = torch.cat([sigmas[1:], torch.zeros(1)])
    weights = (sigmas - after) * (variance / (variance + after**2)).sqrt()
    weights = (weights / (weights**2).mean().sqrt()).float()
    return torch.stack(states), torch.stack(times), torch.stack(targets), weights[:, None, None, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a diffusers pipeline with a U-Net")
    parser.add_argument("--scheme", default="w4a8")
    parser.add_argument("--minutes", type=float, default=14, help="of the clock; training ends there where --updates has not ended it")
    parser.add_argument("--updates", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-5)
    parser.add_argument("--runs", type=int, default=256, help="trajectories of the float network")
    parser.add_argument("--steps", type=int, default=20, help="denoising steps of a run")
    parser.add_argument("--seeds", type=int, default=64, help="images that are compared")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    began = time.monotonic()

    pipeline = DDIMPipeline.from_pretrained(args.checkpoint)
    teacher = copy.deepcopy(pipeline.unet).eval().requires_grad_(False)
    model = mote.convert(pipeline, scheme=args.scheme)
    print(f"converted: {psnr(model, args):.2f} dB", flush=True)
    net = QuantizedModule(pipeline.unet.train(), model)
    print(f"at the start: {psnr(net.model, args):.2f} dB", flush=True)
    states, times, targets, weights = trajectories(teacher, pipeline.scheduler, args.runs, args.steps, seed=0)
    losses: list[float] = []
    optimizer = torch.optim.Adam(net.parameters(), lr=args.rate)

    ends, step = began + 60 * args.minutes, 0
    for step in range(1, args.updates + 1):
        if time.monotonic() > ends:
            break
        optimizer.param_groups[0]["lr"] = args.rate * min(step / 20, 1 - step / (args.updates + 1))
        at, run = torch.randint(args.steps, (args.batch,)), torch.randint(args.runs, (args.batch,))
        errors = net(states[at, run], times[at, run]).sample - targets[at, run]
        loss = (weights[at, 0] * errors).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 100 == 0:
            spent = time.process_time() / 60
            print(f"update {step}, {spent:.1f} processor minutes: loss {sum(losses[-100:]) / 100:.3e}", flush=True)
        if step % 500 == 0:
            print(f"update {step}: {psnr(net.model, args):.2f} dB", flush=True)
    facts = {
        "scheme": args.scheme,
        "updates": step,
        "batch": args.batch,
        "converted_db": round(psnr(model, args), 2),
        "trained_db": round(psnr(net.model, args), 2),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "processor_minutes": round(time.process_time() / 60, 1),
    }
    print(json.dumps(facts))
    if args.out is not None:
        net.model.write(args.out)


def psnr(model: mote.Model, args: argparse.Namespace) -> float:
    """Mean PSNR of images against the float network's, from the same noise, dB."""
    return model.compare(args.checkpoint, seeds=args.seeds, steps=args.steps)["x0_psnr_db_mean"]


if __name__ == "__main__":
    main()
