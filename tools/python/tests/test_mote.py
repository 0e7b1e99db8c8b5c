"""The package, on a model that is converted here. Run by tests/python.rs, or: python -m unittest discover tools/python/tests."""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import numpy as np

import mote

CHECKPOINT = Path(os.environ.get("MOTE_TEST_CHECKPOINT", Path(__file__).parents[2] / "assets" / "fashion16-tiny"))


def setUpModule():
    global MODEL
    MODEL = mote.convert(CHECKPOINT, scheme="f16")


class Shards(unittest.TestCase):
    def test_parts_join_to_the_bytes_of_the_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            at = lambda name: Path(folder) / name
            run = dict(count=5, seed=7, steps=1)
            self.assertEqual(MODEL.sample_part(at("whole.npz"), **run), 5)
            parts = [at(f"part-{i}.npz") for i in (2, 0, 1)]
            made = [MODEL.sample_part(part, shard=(i, 3), **run) for part, i in zip(parts, (2, 0, 1))]
            self.assertEqual(sum(made), 5)
            merged = mote.merge(parts, at("all.npz"))
            self.assertEqual((merged["count"], merged["parts"]), (5, 3))
            self.assertEqual(at("all.npz").read_bytes(), at("whole.npz").read_bytes())
            arrays = np.load(at("all.npz"))
            images = MODEL.sample(seeds=range(7, 12), steps=1)
            np.testing.assert_array_equal(arrays["images"], images.pixels)
            self.assertEqual([f"{digest:016x}" for digest in arrays["digests"]], images.digests)
            self.assertEqual(json.loads(arrays["run"].tobytes())["count"], 5)
            with self.assertRaises(mote.InputError) as raised:
                mote.merge(parts[1:], at("none.npz"))
            self.assertIn("images 3 to 4 of 5", str(raised.exception))
            self.assertFalse(at("none.npz").exists())

    def test_statistics_join_to_distances(self):
        with tempfile.TemporaryDirectory() as folder:
            parts = [Path(folder) / f"part-{i}.moments" for i in range(2)]
            for i, part in enumerate(parts):
                found = MODEL.statistics(CHECKPOINT, part, count=18, shard=(i, 2), steps=1)
                self.assertEqual(found, [(0, 16), (16, 18)][i])
            merged = mote.merge(parts)
            self.assertTrue(merged["held"])
            self.assertEqual([space["name"] for space in merged["distribution"]["spaces"]], ["pixels", "bottleneck"])

    def test_what_cannot_be_raises(self):
        for shard, count in (((2, 2), 4), ((0, 0), 4), ((0, 1, 2), 4), ((0, 1), 0)):
            with self.assertRaises(mote.UsageError):
                MODEL.sample_part("never.npz", count=count, shard=shard, steps=1)
        with self.assertRaises(mote.UsageError):
            MODEL.sample_part("never.npz", count=4, stepz=1)
        with self.assertRaises(mote.UsageError):
            mote.merge([])


class Sampling(unittest.TestCase):
    def test_the_command_gives_the_same_digests(self):
        images = MODEL.sample(seeds=[7, 8], steps=2)
        expected = os.environ.get("MOTE_TEST_DIGESTS", "").split()
        self.assertTrue(expected, "the test that runs this one says the command's digests")
        self.assertEqual(images.digests, expected)
        self.assertEqual(images.pixels.shape, (2, 16, 16, 1))
        self.assertEqual(images.samples.shape, (2, 1, 16, 16))
        pixels = np.clip(np.floor((images.samples + 1) * 127.5 + 0.5), 0, 255)
        self.assertLessEqual(np.abs(pixels[:, 0] - images.pixels[..., 0].astype(float)).max(), 1)

    def test_other_backends_give_the_same_digests(self):
        for backend in ("portable", "oracle"):
            self.assertEqual(MODEL.sample([7], steps=1, backend=backend).digests, MODEL.sample([7], steps=1).digests)
        self.assertTrue(all(outcome["held"] for outcome in MODEL.validate(["cpu", "portable"], seeds=1, steps=1)))

    def test_a_run_by_single_calls_is_the_sampler_s(self):
        noise = MODEL.sample([3], steps=1)
        out = MODEL.predict(noise.samples, 0)
        self.assertEqual(out.shape, (1, 1, 16, 16))
        self.assertTrue(np.isfinite(out).all() and np.abs(out).max() > 0)
        both = MODEL.predict(np.concatenate([noise.samples, 0 * noise.samples]), [0, 500])
        np.testing.assert_array_equal(both[:1], out)

    def test_starts_are_heeded(self):
        noise = np.random.default_rng(1).standard_normal((2, 1, 16, 16))
        self.assertEqual(len(set(MODEL.sample([0, 0], start=noise, steps=1).digests)), 2)
        again = MODEL.sample([1], image=np.zeros((1, 16, 16)), strength=0.5, steps=2)
        self.assertNotEqual(again.digests, MODEL.sample([1], steps=2).digests)

    def test_threads_may_share_a_model(self):
        found = []
        threads = [threading.Thread(target=lambda: found.append(MODEL.sample([5], steps=1).digests[0])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(found)), 1)

    def test_progress_is_told(self):
        seen = []
        MODEL.sample(range(40), steps=10, progress=lambda done, total: seen.append((done, total)))
        self.assertTrue(all(total == 400 for _, total in seen))

    def test_an_error_of_the_callback_ends_the_work(self):
        def fail(done, total):
            raise KeyError("enough")

        with self.assertRaises(KeyError):
            MODEL.sample(range(5000), steps=100, progress=fail)


class Files(unittest.TestCase):
    def test_bytes_files_and_pickles_are_the_same_model(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.mote"
            MODEL.write(path)
            for model in (mote.Model(path), mote.Model(str(path)), mote.Model(MODEL.to_bytes()), pickle.loads(pickle.dumps(MODEL))):
                self.assertEqual(model.to_bytes(), MODEL.to_bytes())

    def test_facts(self):
        facts = MODEL.inspect()
        self.assertEqual(facts["scheme"], "f16")
        self.assertTrue(MODEL.fit("mps2-an386")["fits"])
        self.assertIn("mps2-an386", MODEL._repr_html_())
        self.assertIn("16x16", repr(MODEL))
        self.assertIn("<html", MODEL.report())
        self.assertIn("microbit", mote.boards())
        self.assertLess(len(MODEL.planned(steps=4).to_bytes()), len(MODEL.to_bytes()))


class Refusals(unittest.TestCase):
    def refused(self, kind, says, call):
        with self.assertRaises(kind) as caught:
            call()
        self.assertIsInstance(caught.exception, mote.MoteError)
        self.assertIn(says, str(caught.exception))
        self.assertTrue(caught.exception.advice)
        self.assertRegex(caught.exception.code, r"^MOTE-\d+$")

    def test_what_cannot_be_says_what_to_do(self):
        sample, predict = MODEL.sample, MODEL.predict
        state = np.zeros((1, 1, 16, 16))
        cases = [
            (mote.InputError, "no-such", lambda: mote.Model("no-such.mote")),
            (mote.InputError, "model", lambda: mote.Model(b"MOTE")),
            (mote.InputError, "no-such", lambda: mote.convert("no-such-folder")),
            (mote.UsageError, "scheme", lambda: mote.convert(CHECKPOINT, scheme="w3")),
            (mote.UsageError, "board", lambda: mote.convert(CHECKPOINT, board="toaster")),
            (mote.UsageError, "int", lambda: mote.convert(3)),
            (mote.UsageError, "empty", lambda: sample([])),
            (mote.UsageError, "-1", lambda: sample([-1])),
            (mote.UsageError, "whole", lambda: sample([0.5])),
            (mote.UsageError, "sampler", lambda: sample(0, sampler="midpoint")),
            (mote.RefusedError, "step", lambda: sample(0, steps=0)),
            (mote.RefusedError, "class", lambda: sample(0, labels=3)),
            (mote.UsageError, "backend", lambda: sample(0, backend="gpu")),
            (mote.UsageError, "shape", lambda: sample(0, start=np.zeros((16, 16)))),
            (mote.UsageError, "type", lambda: predict(np.zeros((1, 1, 16, 16), dtype=complex), 0)),
            (mote.UsageError, "number", lambda: predict(state * np.nan, 0)),
            (mote.UsageError, "timesteps", lambda: predict(state, [1, 2])),
            (mote.RefusedError, "timestep", lambda: predict(state, 1000)),
            (mote.RefusedError, "timestep", lambda: predict(state, 0.5)),
            (mote.RefusedError, "timestep", lambda: predict(state, -1)),
            (mote.UsageError, "strength", lambda: sample(0, image=np.zeros((1, 16, 16)), strength=2)),
            (mote.OutputError, "no-such", lambda: MODEL.write("no-such/folder/m.mote")),
            (mote.UsageError, ".mote", lambda: MODEL.write("m.png")),
        ]
        for kind, says, call in cases:
            with self.subTest(says=says, kind=kind.__name__):
                self.refused(kind, says, call)


class Interrupts(unittest.TestCase):
    @unittest.skipIf(os.name == "nt", "signals")
    def test_control_c_ends_a_long_call(self):
        script = (
            "import mote, signal, sys\n"
            # Whoever runs the tests may have it ignored.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"model = mote.convert({str(CHECKPOINT)!r}, scheme='f16')\n"
            "print('ready', flush=True)\n"
            "try:\n    model.sample(range(100000), steps=100)\nexcept KeyboardInterrupt:\n    print('stopped', flush=True)\n"
        )
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.kill)
        patience = threading.Timer(120, child.kill)
        patience.start()
        self.addCleanup(patience.cancel)
        self.assertEqual(child.stdout.readline().strip(), "ready")
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.stdout.readline().strip(), "stopped")
        self.assertEqual(child.wait(timeout=60), 0)
        child.stdout.close()


if __name__ == "__main__":
    unittest.main()
