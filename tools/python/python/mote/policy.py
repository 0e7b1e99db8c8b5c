"""A robot's diffusion policy in its control loop: history, normalization and queue of actions around a model file.

The loop is that of Chi et al. 2023, "Diffusion Policy" (section 4.3, receding horizon): of the actions that are planned from the last
observations, some are carried out, then the next are planned.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._arrays import as_numpy, usage
from ._model import Model

NUMBERS = ("n_obs_steps", "n_action_steps", "horizon")
RANGES = ("obs_min", "obs_max", "action_min", "action_max")


class Policy:
    """Actions from observations, planned by a model file with the bits of the device.

    Args:
        model: The policy's network, converted: samples `(action, 1, horizon)`, a condition of the last observations.
        config: The checkpoint's `config.json`, its path or what it holds: `n_obs_steps`, `n_action_steps`, `horizon`, and the recorded
            minima and maxima of observations and actions, which are mapped to [-1, 1].
        steps: Denoising steps of a plan.
        seed: Of the first plan's noise; the others count up from it. The same seed and observations give the same actions.
        options: As `Model.sample` takes them: `sampler`, `eta`, `backend` and the like.

    Attributes:
        seed: Of the next plan's noise.
        digests: Digests of the plans so far, to compare with a device.
    """

    def __init__(
        self, model: Model, config: str | os.PathLike[str] | Mapping[str, Any], *, steps: int = 10, seed: int = 0, **options: Any
    ) -> None:
        if not isinstance(config, Mapping):
            with open(config, encoding="utf-8") as file:
                config = json.load(file)
        for key in NUMBERS + RANGES:
            if key not in config:
                raise usage(f"the policy's configuration has no {key}", "give the config.json of the checkpoint")
        self.history, self.carried_out, self.horizon = (int(config[key]) for key in NUMBERS)
        self._obs = _Range(config, "obs")
        self._action = _Range(config, "action")
        actions, rows, horizon = model.shape
        if (actions, rows, horizon) != (self._action.size, 1, self.horizon):
            raise usage(
                f"the model's samples are {actions}x{rows}x{horizon}, the configuration's actions {self._action.size}x1x{self.horizon}",
                "give the config.json of the model's own checkpoint",
            )
        if not 0 < self.history <= self.horizon or not 0 < self.carried_out <= self.horizon - self.history + 1:
            raise usage(
                f"{self.carried_out} actions after {self.history} observations do not fit a horizon of {self.horizon}",
                "n_action_steps is at most horizon - n_obs_steps + 1",
            )
        self.model, self.steps, self.options = model, steps, options
        self.reset(seed)

    def reset(self, seed: int = 0) -> None:
        """Begins an episode: nothing was seen, nothing is planned."""
        self.seed = seed
        self.digests: list[str] = []
        self._seen: deque[np.ndarray] = deque(maxlen=self.history)
        self._planned: deque[np.ndarray] = deque()

    def act(self, observation: Any) -> np.ndarray:
        """The next action, float32 `(action)`, in the units of the environment, after an `observation` in its units.

        Where less was seen than the policy looks back, the first observation stands for what came before it.
        """
        seen = as_numpy(observation, "observation").astype(np.float64).reshape(-1)
        if seen.size != self._obs.size or not np.isfinite(seen).all():
            raise usage(f"the observation is {observation!r}", f"give {self._obs.size} finite numbers")
        self._seen.append(seen)
        while len(self._seen) < self.history:
            self._seen.appendleft(self._seen[0])
        if not self._planned:
            self._plan()
        return self._planned.popleft()

    def condition(self) -> np.ndarray:
        """What the network is told of the last observations: float32, oldest first, each mapped to [-1, 1] by the recorded range."""
        return np.concatenate([self._obs.to_unit(seen) for seen in self._seen]).astype(np.float32)

    def _plan(self) -> None:
        images = self.model.sample([self.seed], steps=self.steps, condition=self.condition()[None], **self.options)
        self.seed += 1
        self.digests += images.digests
        actions = self._action.from_unit(images.samples[0, :, 0, :].T.astype(np.float64)).astype(np.float32)
        first = self.history - 1
        self._planned.extend(actions[first : first + self.carried_out])


class _Range:
    """Recorded minima and maxima, which stand for -1 and 1."""

    def __init__(self, config: Mapping[str, Any], what: str) -> None:
        self.low = np.asarray(config[f"{what}_min"], dtype=np.float64)
        self.high = np.asarray(config[f"{what}_max"], dtype=np.float64)
        if self.low.ndim != 1 or self.low.shape != self.high.shape or not (self.high > self.low).all():
            raise usage(f"{what}_min and {what}_max are no ranges", "each maximum is above its minimum")
        self.size = self.low.size

    def to_unit(self, values: np.ndarray) -> np.ndarray:
        return 2 * (values - self.low) / (self.high - self.low) - 1

    def from_unit(self, values: np.ndarray) -> np.ndarray:
        return (values + 1) / 2 * (self.high - self.low) + self.low
