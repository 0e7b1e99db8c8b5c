"""Wrong values at every argument: each call returns or raises a MoteError that says what to do. Run by tests/python.rs, or: python -m unittest discover."""

import datetime
import decimal
import itertools
import logging
import os
import tempfile
import threading
import unittest
import warnings
from pathlib import Path

import numpy as np

import mote

CHECKPOINT = Path(os.environ.get("MOTE_TEST_CHECKPOINT", Path(__file__).parents[2] / "assets" / "fashion16-tiny"))
CONVERT = (
    "scheme board flash ram core clock profile arena refine name null_class labels condition_range condition_null latent learned_variance strip "
    "example description scheduler calibration report progress"
).split()


class Liar:
    """Claims to be a tensor."""

    def __dlpack__(self, **_):
        raise ValueError("no")

    def __dlpack_device__(self):
        return (1, 0)


class Broken:
    """Claims to be an array."""

    def __array__(self, *_, **__):
        raise RuntimeError("no")


def values(shape):
    good = np.zeros((1, *shape), dtype=np.float32)
    # fmt: off
    return [
        None, True, -1, 2**31, 2**64, -(2**70), 10**30, 0.5, float("nan"), float("inf"), 1j,
        "", "x", "\0", "\ud800", "a" * 5000, "..", "/dev/null", "/dev/zero", b"", b"MOTE", bytearray(b"x"), memoryview(b"MOTE"),
        [], [[]], [[1], [1, 2]], (), {}, {1: 2}, object(), object, len, Liar(), Broken(), itertools.count(), iter([]), Ellipsis, NotImplemented,
        np.float32(1), np.array([]), np.zeros((0, *shape)), good, good[0, 0], good.astype(complex), good.astype(object), good.astype("S4"),
        good.astype(np.float16), good.astype("M8[s]"), np.ma.masked_array(good, mask=True), good * np.nan, good + 65, good - 1e30,
        np.broadcast_to(np.float32(1), (3, *shape)), np.rec.array([(1, 2.0)]), np.matrix([[1.0]]), decimal.Decimal("3"),
        datetime.datetime(2020, 1, 1), threading.Lock(), mote,
    ]
    # fmt: on


def calls(model):
    """A call of every argument."""
    good = np.zeros((1, *model.shape), dtype=np.float32)
    sample, few = model.sample, lambda value: min(value, 2) if isinstance(value, int) else value
    found = {
        "Model": mote.Model,
        "seeds": lambda value: sample(value, steps=1),
        "steps": lambda value: sample(0, steps=value),
        "predict": lambda value: model.predict(value, 0),
        "t": lambda value: model.predict(good, value),
        "predict.labels": lambda value: model.predict(good, 0, labels=value),
        "predict.condition": lambda value: model.predict(good, 0, condition=value),
        "image": lambda value: sample(0, image=value, steps=2),
        "mask": lambda value: sample(0, image=good, mask=value, steps=2),
        "interpolate": lambda value: sample(0, interpolate=value, frames=2, steps=1),
        "frames": lambda value: sample(0, interpolate=9, frames=few(value), steps=1),
        "columns": lambda value: model.sample(0, steps=1).write("a.png", columns=value),
        "zoom": lambda value: model.sample(0, steps=1).write("a.png", zoom=value),
        "picture": lambda value: model.sample(0, steps=1).write(value),
        "strength": lambda value: sample(0, image=good, strength=value, steps=2),
        "known": lambda value: sample(0, known=value, steps=2),
        "known_noise": lambda value: sample(0, known=[1], known_noise=value, steps=2),
        "decode": model.decode,
        "fit": model.fit,
        "validate": lambda value: model.validate([value], seeds=1, steps=1),
        "validate.seeds": lambda value: model.validate(["cpu"], seeds=few(value), steps=1),
        "compare": lambda value: model.compare(value, seeds=1, steps=1),
        "planned": lambda value: model.planned(steps=value),
        "write": model.write,
        "page": model.report().write,
        "merge": mote.merge,
        "part": lambda value: model.sample_part(value, count=1, steps=1),
        "count": lambda value: model.sample_part("a.npz", count=few(value), steps=1),
        "shard": lambda value: model.sample_part("a.npz", count=1, shard=value, steps=1),
        "statistics": lambda value: model.statistics(value, "a.moments", count=2, steps=1),
        "data": lambda value: model.statistics(CHECKPOINT, "a.moments", count=2, steps=1, data=value),
        "convert": mote.convert,
        "policy": lambda value: mote.Policy(model, value),
    }
    for name in ("sampler", "labels", "guidance", "condition", "start", "eta", "variance", "spacing", "prev", "clip", "backend"):
        found[f"sample.{name}"] = lambda value, name=name: sample(0, steps=1, **{name: value})
    for name in CONVERT:
        # Another name of a folder that is not there: what is converted is not what is tried here.
        found[f"convert.{name}"] = lambda value, name=name: mote.convert("no-such-folder", **{"scheme": "f16", name: value})
    return found


class WrongValues(unittest.TestCase):
    def test_none_is_taken_for_another_and_none_ends_the_interpreter(self):
        model = mote.convert(CHECKPOINT, scheme="f16")
        logging.getLogger("mote").setLevel(logging.ERROR)
        self.addCleanup(logging.getLogger("mote").setLevel, logging.NOTSET)
        self.addCleanup(os.chdir, os.getcwd())
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.chdir(folder)
            for name, call in calls(model).items():
                for value in values(model.shape):
                    with self.subTest(argument=name, value=repr(value)[:60]):
                        try:
                            call(value)
                        except mote.MoteError as error:
                            self.assertTrue(error.advice)
                            self.assertRegex(error.code, r"^MOTE-\d+$")
            os.chdir("/")


if __name__ == "__main__":
    unittest.main()
