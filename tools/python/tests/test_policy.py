"""A policy in its control loop. Run by tests/python.rs, or: python -m unittest discover tools/python/tests."""

import json
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

import mote
from mote import Policy

ROOT = Path(os.environ.get("MOTE_TEST_ROOT", Path(__file__).parents[3]))
CHECKPOINT = ROOT / "tests" / "data" / "lander-policy"
sys.path.insert(0, str(ROOT / "tools" / "python" / "examples"))


def setUpModule():
    global MODEL, CONFIG
    MODEL = mote.convert(CHECKPOINT, scheme="w8a8")
    CONFIG = json.loads((CHECKPOINT / "config.json").read_text())


class Checkpoints(unittest.TestCase):
    """The network in tests/data/importers/policy: plans of 8 actions of 2 numbers, told 6."""

    SOURCE = ROOT / "tests" / "data" / "importers" / "policy"
    STATE = "observation.state"

    def folder(self, mode, statistics, **changes):
        """LeRobot's folder of that network with these statistics."""
        place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, place)
        own = json.loads((self.SOURCE / "config.json").read_text())
        config = {
            **own,
            "type": "diffusion",
            "n_obs_steps": 1,
            "n_action_steps": 4,
            "num_inference_steps": 3,
            "noise_scheduler_type": "DDPM",
            "num_train_timesteps": 100,
            "beta_schedule": "squaredcos_cap_v2",
            "beta_start": 0.0001,
            "beta_end": 0.02,
            "prediction_type": "epsilon",
            "clip_sample": True,
            "clip_sample_range": 1.0,
            "input_features": {self.STATE: {"type": "STATE", "shape": [3]}},
            "output_features": {"action": {"type": "ACTION", "shape": [2]}},
            "normalization_mapping": {"STATE": mode, "ACTION": mode},
            **changes,
        }
        (place / "config.json").write_text(json.dumps(config))
        raw = (self.SOURCE / "model.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
        renamed = {name if name == "__metadata__" else f"diffusion.unet.{name}": facts for name, facts in header.items()}
        for name, numbers in statistics.items():
            part = np.asarray(numbers, dtype="<f4").tobytes()
            renamed[name] = {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [len(data), len(data) + len(part)]}
            data += part
        text = json.dumps(renamed).encode()
        (place / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
        return place

    def test_a_folder_of_lerobot_with_means(self):
        inputs, outputs = "normalize_inputs.buffer_observation_state", "unnormalize_outputs.buffer_action"
        statistics = {f"{inputs}.mean": [1, 2, 3], f"{inputs}.std": [1, 2, 4], f"{outputs}.mean": [10, -10], f"{outputs}.std": [2, 0.5]}
        place = self.folder("MEAN_STD", statistics)
        model = mote.convert(place, scheme="f16", condition_range=(-6, 6))
        policy = mote.Policy(model, place, seed=4)
        self.assertEqual((policy.history, policy.carried_out, policy.horizon, policy.steps), (1, 4, 8, 3))
        actions = [policy.act([2.0, 0.0, 3.0]) for _ in range(4)]
        np.testing.assert_allclose(policy.condition(), [1, -1, 0], atol=1e-6)
        plan = model.sample([4], steps=3, condition=policy.condition()).samples[0, :, 0]
        np.testing.assert_allclose(np.array(actions), plan.T[:4] * [2, 0.5] + [10, -10], atol=1e-5)
        with self.assertRaises(mote.UsageError) as caught:
            mote.Policy(mote.convert(place, scheme="f16"), place)
        self.assertIn("condition_range", caught.exception.advice)
        for changes in ({"n_obs_steps": 2}, {"horizon": 16}, {"n_action_steps": 9}, {"normalization_mapping": {"STATE": "MIN_MAX"}}):
            with self.assertRaises(mote.MoteError) as caught:
                mote.Policy(model, self.folder("MEAN_STD", statistics, **changes))
            self.assertTrue(caught.exception.advice)


    def test_a_folder_of_lerobot_as_it_is_saved(self):
        """Names of weights, order of features and statistics of processors; tests/data/importers/lerobot."""
        place = self.SOURCE.parent / "lerobot"
        model = mote.convert(place, scheme="f16", condition_range=(-6, 6))
        noise = np.random.default_rng(4).standard_normal((1, 2, 1, 8)).astype(np.float32)
        policy = mote.Policy(model, place, start=noise)
        self.assertEqual((policy.history, policy.carried_out, policy.horizon, policy.steps), (2, 4, 8, 5))
        actions = [policy.act([0.0, 4.0, 0.5])] + [policy.act([1.0, 2.0, 4.5]) for _ in range(4)]
        # What the second plan was told: the state by its range, the environment by its spread, oldest first.
        np.testing.assert_allclose(policy.condition(), [1, -1, 2, 1, -1, 2], atol=1e-6)
        plan = model.sample([0], start=noise, steps=5, condition=[0, 0, 0, 0, 0, 0]).samples[0, :, 0]
        np.testing.assert_allclose(np.array(actions[:4]), (plan.T[1:5] + 1) / 2 * [4, 0.5] + [-3, 0], atol=1e-5)
        self.assertEqual(len(policy.digests), 2)


class Loop(unittest.TestCase):
    def test_observations_are_normalized_and_remembered(self):
        policy = Policy(MODEL, CONFIG, steps=1)
        low, high = np.array(CONFIG["obs_min"]), np.array(CONFIG["obs_max"])
        policy.act(low)
        np.testing.assert_allclose(policy.condition(), -np.ones(16), atol=1e-6)
        policy.act(high)
        np.testing.assert_allclose(policy.condition(), np.repeat([-1.0, 1.0], 8), atol=1e-6)
        policy.act((low + high) / 2)
        np.testing.assert_allclose(policy.condition(), np.repeat([1.0, 0.0], 8), atol=1e-6)

    def test_actions_are_the_middle_of_the_plan(self):
        policy = Policy(MODEL, CONFIG, steps=10, seed=3)
        seen = np.zeros(8)
        actions = [policy.act(seen) for _ in range(9)]
        self.assertEqual((len(policy.digests), policy.seed), (2, 5))
        plan = MODEL.sample([3], steps=10, condition=policy.condition())
        # Observation 1 of 2 is the present: actions 1 to 8 of 16 are carried out.
        np.testing.assert_allclose(np.array(actions[:8]), plan.samples[0, :, 0, 1:9].T, atol=1e-6)
        self.assertEqual(plan.digests[0], policy.digests[0])

    def test_the_same_seed_gives_the_same_actions(self):
        one, other = Policy(MODEL, CONFIG, seed=5), Policy(MODEL, CONFIG, seed=5, backend="portable")
        for step in range(10):
            seen = np.full(8, 0.01 * step)
            np.testing.assert_array_equal(one.act(seen), other.act(seen))
        self.assertEqual(one.digests, other.digests)

    def test_conditions_are_asked_for_by_name(self):
        for call in (
            lambda: MODEL.sample(0),
            lambda: MODEL.sample(0, condition=[1, 2, 3]),
            lambda: MODEL.sample(0, condition=np.full(16, np.nan)),
            lambda: MODEL.predict(np.zeros((1, 2, 1, 16)), 3),
            lambda: Policy(MODEL, {}),
            lambda: Policy(MODEL, {**CONFIG, "horizon": 8}),
            lambda: Policy(MODEL, {**CONFIG, "obs_max": CONFIG["obs_min"]}),
            lambda: Policy(MODEL, CONFIG).act([0.0]),
            lambda: Policy(MODEL, CONFIG).condition(),
            lambda: Policy(MODEL, CONFIG).act(np.full(8, np.inf)),
        ):
            with self.assertRaises(mote.MoteError) as caught:
                call()
            self.assertTrue(str(caught.exception))

    def test_it_lands(self):
        import lander

        policy = Policy(MODEL, CONFIG)
        returns = [lander.episode(policy, seed) for seed in range(5000, 5005)]
        # A landing is 200 points. The float network lands 95 of 100.
        self.assertGreater(np.mean(returns), 200, returns)


if __name__ == "__main__":
    unittest.main()
