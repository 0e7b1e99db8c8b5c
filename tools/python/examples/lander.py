"""Closes the loop: a diffusion policy lands Gymnasium's continuous LunarLander.

    pip install "gymnasium[box2d]"
    python tools/python/examples/lander.py CHECKPOINT [--scheme w8a8] [--episodes 40] [--backend cpu]

Prints the mean return, its standard error and the share above 200. `--compare BACKEND` runs the same episodes there as well, and
says whether every plan had the same bits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gymnasium
import numpy as np

import mote
from mote.policy import Policy


def episode(policy: Policy, seed: int, most: int = 1000) -> float:
    """The return of one episode."""
    world = gymnasium.make("LunarLander-v3", continuous=True)
    observation, _ = world.reset(seed=seed)
    policy.reset(seed << 20)
    total = 0.0
    for _ in range(most):
        observation, reward, ended, cut, _ = world.step(policy.act(observation))
        total += float(reward)
        if ended or cut:
            break
    world.close()
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--scheme", default="w8a8")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--first", type=int, default=5000, help="seed of the first episode")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--compare", metavar="BACKEND")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    model = mote.convert(args.checkpoint, scheme=args.scheme)
    config = args.checkpoint / "config.json"
    policy = Policy(model, config, backend=args.backend)
    other = Policy(model, config, backend=args.compare) if args.compare else None
    returns, plans, same = [], 0, True
    for seed in range(args.first, args.first + args.episodes):
        returns.append(episode(policy, seed))
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
