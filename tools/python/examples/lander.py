"""Closes the loop: a diffusion policy lands Gymnasium's continuous LunarLander.

    pip install "gymnasium[box2d]"
    python tools/python/examples/lander.py CHECKPOINT [--scheme w8a8] [--episodes 40] [--backend cpu]
    python tools/python/examples/lander.py CHECKPOINT --scheme float      # PyTorch and diffusers, on net.pt2 of the checkpoint

    python tools/python/examples/lander.py CHECKPOINT --picture landing.png      # the first episode, a frame every twelve on one picture

Prints the mean return, its standard error and the share above 200. `--compare BACKEND` runs the same episodes there as well, and
says whether every plan had the same bits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import numpy as np

import mote
from mote.policy import Policy


def episode(policy: Policy, seed: int, most: int = 1000, frames: list[np.ndarray] | None = None) -> float:
    """The return of one episode. Pictures of it are added to `frames`, where these are given."""
    world = gymnasium.make("LunarLander-v3", continuous=True, render_mode=None if frames is None else "rgb_array")
    observation, _ = world.reset(seed=seed)
    policy.reset(seed << 20)
    total = 0.0
    for _ in range(most):
        observation, reward, ended, cut, _ = world.step(policy.act(observation))
        total += float(reward)
        if frames is not None:
            frames.append(world.render())
        if ended or cut:
            break
    world.close()
    return total


def picture(frames: list[np.ndarray], file: Path, apart: int = 12) -> None:
    """Writes frames that are so far apart as one picture, at half the size: the sky is black, so the brightest pixel of each is kept."""
    import pygame

    shown = np.max(frames[::-apart], axis=0)
    rows, cols, _ = shown.shape
    half = shown.reshape(rows // 2, 2, cols // 2, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    pygame.image.save(pygame.surfarray.make_surface(half.swapaxes(0, 1)), file)


class FloatPolicy(Policy):
    """The same loop around the float network in PyTorch: DDIM of diffusers, from noise of PyTorch."""

    def __init__(self, checkpoint: Path, steps: int = 10) -> None:
        import torch
        from diffusers import DDIMScheduler

        torch.set_num_threads(1)
        config = json.loads((checkpoint / "config.json").read_text())
        self.shape = (len(config["action_min"]), 1, int(config["horizon"]))
        self.network = torch.export.load(checkpoint / "net.pt2").module()
        settings = json.loads((checkpoint / "scheduler" / "scheduler_config.json").read_text())
        self.scheduler = DDIMScheduler.from_config(settings)
        self.scheduler.set_timesteps(steps)
        # What is asked of the model is its samples' shape.
        super().__init__(self, config, steps=steps)

    def sample(self, seeds: list[int], *, condition: np.ndarray, **_: object) -> SimpleNamespace:
        """A plan a seed, as `Model.sample` gives them."""
        import torch

        noise = torch.Generator().manual_seed(seeds[0])
        x = torch.randn(1, self.shape[2], self.shape[0], generator=noise)
        with torch.no_grad():
            for t in self.scheduler.timesteps:
                out = self.network(x, t[None], torch.from_numpy(condition))
                x = self.scheduler.step(out, t, x).prev_sample
        return SimpleNamespace(samples=x.transpose(1, 2)[:, :, None].numpy(), digests=[""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--scheme", default="w8a8")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--first", type=int, default=5000, help="seed of the first episode")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--compare", metavar="BACKEND")
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = args.checkpoint / "config.json"
    if args.scheme == "float":
        if args.compare:
            parser.error("--compare is of model files, which have digests")
        policy, other = FloatPolicy(args.checkpoint), None
    else:
        model = mote.convert(args.checkpoint, scheme=args.scheme)
        policy = Policy(model, config, backend=args.backend)
        other = Policy(model, config, backend=args.compare) if args.compare else None
    returns, plans, same = [], 0, True
    for seed in range(args.first, args.first + args.episodes):
        frames = [] if args.picture is not None and not returns else None
        returns.append(episode(policy, seed, frames=frames))
        if frames:
            picture(frames, args.picture)
        plans += len(policy.digests)
        if other is not None:
            again = episode(other, seed)
            same &= other.digests == policy.digests and again == returns[-1]
    mean, error = np.mean(returns), np.std(returns, ddof=1) / np.sqrt(len(returns)) if len(returns) > 1 else 0.0
    facts = {
        "scheme": args.scheme,
        "episodes": len(returns),
        "mean_return": round(float(mean), 2),
        "standard_error": round(float(error), 2),
        "above_200": float(np.mean(np.array(returns) > 200)),
        "plans": plans,
        "same_bits": same if other is not None else None,
    }
    print(json.dumps(facts) if args.json else "\n".join(f"{key}: {value}" for key, value in facts.items()))


if __name__ == "__main__":
    main()
