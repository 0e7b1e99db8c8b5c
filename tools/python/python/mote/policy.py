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

from . import _mote
from ._arrays import as_numpy, path as path_of, usage, whole_number
from ._model import LAST_SEED, Model

# Steps of a plan where neither the caller nor the checkpoint says.
STEPS = 10


class Policy:
    """Actions from observations, planned by a model file with the bits of the device.

    >>> policy = mote.Policy(mote.convert("my-policy", scheme="w8a8"), "my-policy")
    >>> action = policy.act(observation)

    Args:
        model: The policy's network, converted: samples `(action, 1, horizon)`, a condition of the last observations.
        config: Where the loop's numbers are: the folder of a policy of LeRobot, with its normalization modes and statistics; a `.ckpt` of
            Diffusion Policy with its normalizer, `config.json` beside it; or a `config.json`, its path or what it holds: `n_obs_steps`,
            `n_action_steps`, `horizon`, and the recorded minima and maxima of observations and actions, which are mapped to [-1, 1].
        steps: Denoising steps of a plan; by default the checkpoint's own `num_inference_steps`, else 10.
        seed: Of the first plan's noise; the others count up from it. The same seed and observations give the same actions.
        options: As `Model.sample` takes them: `sampler`, `eta`, `backend` and the like.

    Attributes:
        history: Observations that a plan is made from.
        carried_out: Actions that are carried out before the next plan.
        horizon: Actions of a plan.
        seed: Of the next plan's noise.
        digests: Digests of the plans so far, to compare with a device.

    Raises:
        InputError: The configuration lacks something, or says what cannot be.
        UsageError: It is not the model's.
    """

    def __init__(
        self,
        model: Model,
        config: str | os.PathLike[str] | Mapping[str, Any],
        *,
        steps: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if isinstance(config, Mapping):
            try:
                facts = json.loads(_mote.policy(None, json.dumps(dict(config))))
            except (TypeError, ValueError) as error:
                raise usage(f"the configuration is no JSON: {error}", "give what config.json holds: words, numbers and lists") from error
        else:
            facts = json.loads(_mote.policy(path_of(config, "config"), None))
        self.history, self.carried_out, self.horizon = facts["n_obs_steps"], facts["n_action_steps"], facts["horizon"]
        self._obs = _Range(facts["obs"])
        self._action = _Range(facts["action"])
        actions, rows, horizon = model.shape
        if (actions, rows, horizon) != (self._action.size, 1, self.horizon):
            raise usage(
                f"the model's samples are {actions}x{rows}x{horizon}, the configuration's actions {self._action.size}x1x{self.horizon}",
                "give the config.json of the model's own checkpoint",
            )
        told, wanted = self.history * self._obs.size, getattr(model, "condition_len", None)
        if wanted is not None and wanted != told:
            raise usage(
                f"the model is told {wanted} numbers, the configuration has {self.history} observations of {self._obs.size}",
                "give the config.json of the model's own checkpoint",
            )
        reach = getattr(model, "condition_range", None)
        if reach is not None and not facts["obs"]["bounded"] and max(abs(end) for end in reach) < 2:
            raise usage(
                f"observations are scaled by their spread or not at all, and the model clamps them to [{reach[0]}, {reach[1]}]",
                "convert with condition_range=(-6, 6), or what your observations reach",
            )
        steps = facts["steps"] or STEPS if steps is None else whole_number(steps, "steps", 2**32 - 1)
        self.model, self.steps, self.options = model, steps, options
        self.reset(seed)

    def reset(self, seed: int = 0) -> None:
        """Begins an episode: nothing was seen, nothing is planned.

        >>> policy.reset(seed=7)
        """
        self.seed = whole_number(seed, "seed", LAST_SEED)
        self.digests: list[str] = []
        self._seen: deque[np.ndarray] = deque(maxlen=self.history)
        self._planned: deque[np.ndarray] = deque()

    def act(self, observation: Any) -> np.ndarray:
        """The next action, float32 `(action)`, in the units of the environment, after an `observation` in its units.

        >>> observation, *_ = environment.step(policy.act(observation))

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
        """What the network is told of the last observations: float32, oldest first, each mapped to [-1, 1] by the recorded range.

        >>> policy.model.sample([3], condition=policy.condition(), steps=10)
        """
        if not self._seen:
            raise usage("the policy has seen nothing yet", "call act with an observation first")
        return np.concatenate([self._obs.to_unit(seen) for seen in self._seen]).astype(np.float32)

    def _plan(self) -> None:
        images = self.model.sample([self.seed], steps=self.steps, condition=self.condition()[None], **self.options)
        self.seed += 1
        self.digests += images.digests
        actions = self._action.from_unit(images.samples[0, :, 0, :].T.astype(np.float64)).astype(np.float32)
        first = self.history - 1
        self._planned.extend(actions[first : first + self.carried_out])


class _Range:
    """Numbers that stand for -1 and 1, an element each."""

    def __init__(self, scale: Mapping[str, list[float]]) -> None:
        self.low = np.asarray(scale["low"], dtype=np.float64)
        self.high = np.asarray(scale["high"], dtype=np.float64)
        self.size = self.low.size

    def to_unit(self, values: np.ndarray) -> np.ndarray:
        """In [-1, 1] where they lie between the two."""
        return 2 * (values - self.low) / (self.high - self.low) - 1

    def from_unit(self, values: np.ndarray) -> np.ndarray:
        """Back again."""
        return (values + 1) / 2 * (self.high - self.low) + self.low
