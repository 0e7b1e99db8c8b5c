"""The package, on a model that is converted here. Run by tests/python.rs, or: python -m unittest discover tools/python/tests."""

import itertools
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from pathlib import Path

import numpy as np

import mote
from mote._arrays import samples

ROOT = Path(os.environ.get("MOTE_TEST_ROOT", Path(__file__).parents[3]))
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

    def test_any_sharding_in_any_order_gives_the_same_bytes(self):
        run = dict(count=33, seed=2, steps=1)
        order = random.Random(7)
        with tempfile.TemporaryDirectory() as folder:
            at = lambda name: Path(folder) / name
            archives, moments = set(), set()
            for count in (1, 2, 5, 16):
                numbers = list(range(count))
                order.shuffle(numbers)
                images = [at(f"{i}-of-{count}.npz") for i in numbers]
                sums = [at(f"{i}-of-{count}.moments") for i in numbers]
                for i, image, part in zip(numbers, images, sums):
                    MODEL.sample_part(image, shard=(i, count), **run)
                    MODEL.statistics(CHECKPOINT, part, shard=(i, count), **run)
                mote.merge(images, at("all.npz"))
                mote.merge(sums, at("all.moments"))
                archives.add(at("all.npz").read_bytes())
                moments.add(at("all.moments").read_bytes())
            self.assertEqual((len(archives), len(moments)), (1, 1))
            for parts, says in (
                ([at("0-of-2.npz"), at("0-of-5.npz"), at("1-of-2.npz")], "both hold images 0 to 5 of 33"),
                ([at("0-of-2.npz"), at("4-of-5.npz")], "images 16 to 25 of 33"),
                ([at("0-of-1.moments"), at("0-of-2.moments")], "both hold images 0 to 15 of 33"),
            ):
                with self.assertRaises(mote.InputError) as raised:
                    mote.merge(parts, at(f"none{parts[0].suffix}"))
                self.assertIn(says, str(raised.exception))

    def test_parts_of_a_conditioned_run_join_too(self):
        policy = mote.convert(ROOT / "tests" / "data" / "importers" / "policy", scheme="f16")
        told = np.linspace(-1, 1, 15).reshape(5, 3)
        with tempfile.TemporaryDirectory() as folder:
            parts = [Path(folder) / f"{i}.npz" for i in range(2)]
            for i, part in enumerate(parts):
                policy.sample_part(part, count=5, shard=(i, 2), steps=1, condition=told)
            mote.merge(parts, Path(folder) / "all.npz")
            whole = policy.sample(range(5), steps=1, condition=told)
            self.assertEqual([f"{digest:016x}" for digest in np.load(Path(folder) / "all.npz")["digests"]], whole.digests)
        with self.assertRaises(mote.UsageError) as raised:
            whole.write("never.png")
        self.assertIn("numpy.save", raised.exception.advice)
        self.assertEqual(policy._repr_html_().count("<svg"), 4)

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

    def test_images_between_two_seeds(self):
        between = MODEL.sample(3, interpolate=8, frames=5, steps=1)
        self.assertEqual((len(between), between.seeds), (5, [3] * 5))
        self.assertEqual(between.digests[0], MODEL.sample(3, steps=1).digests[0])
        self.assertEqual(between.digests[-1], MODEL.sample(8, steps=1).digests[0])
        self.assertEqual(len(set(between.digests)), 5)
        # An image's place is among all of them, however many are made together.
        self.assertEqual(MODEL.sample(3, interpolate=8, frames=21, steps=1).digests[::5], between.digests)

    def test_images_are_written_as_a_picture(self):
        images = MODEL.sample(range(3), steps=1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "grid.png"
            images.write(path, columns=3, zoom=2)
            written = path.read_bytes()
            self.assertEqual((written[:8], written[16:24]), (b"\x89PNG\r\n\x1a\n", bytes([0, 0, 0, 96, 0, 0, 0, 32])))
            for wrong in (
                lambda: images.write(Path(folder) / "grid.jpg"),
                lambda: images.write(path, zoom=0),
                lambda: images.write(path, columns=-1),
                lambda: images.write(path, zoom=65),
            ):
                with self.assertRaises(mote.UsageError) as raised:
                    wrong()
                self.assertTrue(raised.exception.advice)
            self.assertEqual(path.read_bytes(), written)
        self.assertEqual(images._repr_png_()[:8], written[:8])

    def test_what_a_mask_leaves_stays(self):
        image = np.linspace(-1, 1, 256, dtype=np.float32).reshape(1, 16, 16)
        mask = np.zeros((16, 16), dtype=bool)
        mask[4:9, 3:12] = True
        made = MODEL.sample([1], image=image, mask=mask, steps=2).samples[0]
        np.testing.assert_allclose(made[0][~mask], image[0][~mask], atol=1e-6)
        self.assertGreater(np.abs(made[0][mask] - image[0][mask]).max(), 0.01)

    def test_arrays_are_read_where_they_lie(self):
        noise = np.random.default_rng(2).standard_normal((4, 16, 16, 1)).astype(np.float32)
        expected = MODEL.predict(np.ascontiguousarray(noise.transpose(0, 3, 1, 2)), 3)
        frozen = noise.copy()
        frozen.flags.writeable = False
        unaligned = np.frombuffer(b"x" + noise.tobytes(), dtype=np.uint8)[1:].view("<f4").reshape(noise.shape)
        for given in (noise, frozen, unaligned, noise.astype(">f4"), noise.astype(np.float64), noise[::-1][::-1]):
            np.testing.assert_array_equal(MODEL.predict(given.transpose(0, 3, 1, 2), 3), expected)
        view = noise.transpose(0, 3, 1, 2)[::2, :, ::-1]
        self.assertTrue(np.shares_memory(samples(view, (1, 16, 16), "x"), noise))
        np.testing.assert_array_equal(MODEL.predict(view, 3), MODEL.predict(view.copy(), 3))

    @unittest.skipIf(os.name == "nt", "fork")
    def test_a_process_that_was_forked_samples_too(self):
        expected = MODEL.sample(range(4), steps=1).digests
        reads, writes = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                os.write(writes, " ".join(MODEL.sample(range(4), steps=1).digests).encode())
            finally:
                os._exit(0)
        os.close(writes)
        patience = threading.Timer(60, os.kill, (child, signal.SIGKILL))
        patience.start()
        with os.fdopen(reads) as answer:
            self.assertEqual(answer.read().split(), expected)
        patience.cancel()
        os.waitpid(child, 0)

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
        card = MODEL._repr_html_()
        self.assertIn("mps2-an386", card)
        self.assertEqual(card.count("data:image/png;base64,"), 4)
        self.assertIn("Seeds 0 to 3, 20 steps", card)
        self.assertIn("16x16", repr(MODEL))
        self.assertIn("<html", MODEL.report())
        self.assertIn("microbit", mote.boards())
        self.assertLess(len(MODEL.planned(steps=4).to_bytes()), len(MODEL.to_bytes()))


    def test_a_closed_model_says_so(self):
        with mote.Model(MODEL.to_bytes()) as model:
            self.assertFalse(model.closed)
        self.assertTrue(model.closed)
        self.assertIn("closed", repr(model) + model._repr_html_())
        for call in (
            lambda: model.sample(0, steps=1),
            lambda: model.predict(np.zeros((1, 1, 16, 16)), 0),
            lambda: model.shape,
            lambda: pickle.dumps(model),
            lambda: model.write("never.mote"),
            lambda: model.sample_part("never.npz", count=1, steps=1),
        ):
            with self.assertRaises(mote.UsageError) as caught:
                call()
            self.assertIn("closed", str(caught.exception))
        model.close()

    def test_a_report_is_a_page(self):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "report"
            model = mote.convert(CHECKPOINT, scheme="f16", report=place)
            page = (place / "report.html").read_text(encoding="utf-8")
            self.assertEqual(model.report(), page)
            self.assertIn("mote.convert", page)
            self.assertIn("<iframe", model.report()._repr_html_())
            model.report().write(Path(folder) / "again.html")
            self.assertEqual((Path(folder) / "again.html").read_text(encoding="utf-8"), page)
            self.assertNotEqual(MODEL.report(), page)
            with self.assertRaises(mote.UsageError):
                model.report().write(Path(folder) / "again.png")

    def test_a_conversion_takes_what_the_command_takes(self):
        convert = lambda **options: mote.convert(CHECKPOINT, **{"scheme": "f16", **options})
        self.assertLess(len(convert(strip=True).to_bytes()), len(MODEL.to_bytes()))
        named = convert(name="of Python")
        self.assertIn(b"of Python", named.to_bytes())
        self.assertEqual(named.sample(3, steps=1).digests, MODEL.sample(3, steps=1).digests)
        arenas = [convert(arena=arena, scheme="w8a8").inspect()["memory"]["run_bytes"] for arena in ("small", "fast", "large")]
        self.assertEqual((arenas, len(set(arenas))), (sorted(arenas), 3))
        refined = convert(scheme="w8a8", refine=True)
        self.assertEqual(refined.inspect()["memory"]["arena_bytes"], convert(scheme="w8a8").inspect()["memory"]["arena_bytes"])
        self.assertTrue(any(note.startswith("refined: ") for note in refined.notes))
        self.assertEqual(convert(board="nrf52840").to_bytes(), MODEL.to_bytes())
        with self.assertRaises(mote.TooLargeError):
            convert(flash="64K", ram="16K", core="cortex-m4f", clock="64MHz")


    def test_a_decoder(self):
        source = ROOT / "tests" / "data" / "importers" / "latent"
        pipeline = mote.convert(source, scheme="w8a16")
        channels, rows, cols = pipeline.shape
        latents = np.random.default_rng(5).standard_normal((2, channels, rows, cols)).astype(np.float32)
        decoder = mote.convert(source / "vae", scheme="w8a16", latent=(rows, cols), calibration=latents)
        self.assertEqual(decoder.notes, [])
        for model in (pipeline, decoder):
            pictures = model.decode(latents)
            channels, rows, cols = model.picture_shape
            self.assertEqual(pictures.pixels.shape, (2, rows, cols, channels))
            self.assertEqual(pictures.digests, model.decode(latents, backend="oracle").digests)
            self.assertEqual(len(pictures), 2)
        with self.assertLogs("mote", "WARNING") as logged:
            self.assertTrue(mote.convert(source / "vae", scheme="w8a16", latent=(4, 4)).notes)
        self.assertIn("latents", logged.output[0])
        with self.assertRaises(mote.UsageError):
            mote.convert(source / "vae", name="a decoder has none")

    def test_variances_and_labels_of_a_transformer(self):
        source = ROOT / "tests" / "data" / "importers" / "dit"
        cut = mote.convert(source, scheme="f16")
        kept = mote.convert(source, scheme="f16", learned_variance="keep")
        self.assertGreater(len(kept.to_bytes()), len(cut.to_bytes()))
        with self.assertRaises(mote.RefusedError) as caught:
            cut.sample(0, sampler="ddpm", labels=0, steps=2)
        self.assertIn("keep", caught.exception.advice)
        made = kept.sample(0, sampler="ddpm", labels=0, steps=2).digests
        self.assertNotEqual(made, kept.sample(0, sampler="ddpm", labels=0, steps=2, variance="small").digests)
        fewer = mote.convert(source, scheme="f16", labels=1, null_class=1)
        self.assertEqual(fewer.null_class, 1)


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
            (mote.UsageError, "arena", lambda: mote.convert(CHECKPOINT, arena="huge")),
            (mote.UsageError, "latent", lambda: mote.convert(CHECKPOINT, latent=(4, 4))),
            (mote.UsageError, "labels", lambda: mote.convert(CHECKPOINT, labels=3)),
            (mote.UsageError, "label", lambda: mote.convert(CHECKPOINT, null_class=3)),
            (mote.UsageError, "condition", lambda: mote.convert(CHECKPOINT, condition_range=(-1, 1))),
            (mote.UsageError, "range", lambda: mote.convert(CHECKPOINT, condition_range=(1, 0))),
            (mote.UsageError, "pair", lambda: mote.convert(CHECKPOINT, condition_range=3)),
            (mote.UsageError, "profile", lambda: mote.convert(CHECKPOINT, profile="size")),
            (mote.UsageError, "variance", lambda: mote.convert(CHECKPOINT, learned_variance="keep")),
            (mote.UsageError, "keep", lambda: mote.convert(CHECKPOINT, learned_variance="drop")),
            (mote.UsageError, "name", lambda: mote.convert(CHECKPOINT, name="a\nb")),
            (mote.RefusedError, "decoder", lambda: MODEL.decode(state)),
            (mote.UsageError, "without image", lambda: sample(0, mask=np.ones((16, 16)))),
            (mote.UsageError, "without interpolate", lambda: sample(0, frames=3)),
            (mote.UsageError, "2 seeds", lambda: sample([0, 1], interpolate=3)),
            (mote.UsageError, "nothing between", lambda: sample(3, interpolate=3)),
            (mote.UsageError, "both start and interpolate", lambda: sample(0, interpolate=3, start=state)),
            (mote.UsageError, "1 frames", lambda: sample(0, interpolate=3, frames=1)),
            (mote.UsageError, "mask", lambda: sample(0, image=state, mask=np.ones((3, 3)))),
            (mote.RefusedError, "chains of 2015", lambda: sample(0, known=[1.0, None])),
            (mote.UsageError, "without known", lambda: sample(0, known_noise=0.1)),
            (mote.UsageError, "NaN", lambda: sample(0, known=[1.0, float("nan")])),
            (mote.UsageError, "masked", lambda: predict(np.ma.masked_array(state, mask=True), 0)),
            (mote.UsageError, "more than", lambda: sample(itertools.count())),
            (mote.UsageError, "guidance", lambda: sample(0, guidance="much")),
            (mote.UsageError, "sampler", lambda: sample(0, sampler=3)),
            (mote.UsageError, "option", lambda: MODEL.validate(["cpu"], stepz=1)),
            (mote.UsageError, "int", lambda: mote.Model(3)),
            (mote.UsageError, "zero byte", lambda: mote.Model("a\0b")),
            (mote.UsageError, "list of paths", lambda: mote.merge("part.npz")),
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
