"""The examples in the docstrings run, and every public verb has one. Run by tests/python.rs, or: python -m unittest discover."""

import doctest
import importlib
import inspect
import os
import shutil
import tempfile
import unittest
import warnings
import webbrowser
from pathlib import Path

import numpy as np

import mote

ROOT = Path(os.environ.get("MOTE_TEST_ROOT", Path(__file__).parents[3]))
CHECKPOINT = Path(os.environ.get("MOTE_TEST_CHECKPOINT", Path(__file__).parents[2] / "assets" / "fashion16-tiny"))
LATENT = ROOT / "tests" / "data" / "importers" / "latent"
LANDER = ROOT / "tests" / "data" / "lander-policy"
PUBLIC = ["mote", "mote._model", "mote._convert", "mote._report", "mote._shards", "mote.policy"]
# What of it needs other packages.
OTHERS = {"mote.diffusers": "diffusers", "mote.torch": "torch", "mote.ray": "ray"}


class Said(doctest.OutputChecker):
    """An example that shows nothing may print what it likes."""

    def check_output(self, want, got, flags):
        return not want or super().check_output(want, got, flags)


def here(package):
    try:
        return importlib.import_module(package)
    except ImportError:
        return None


def examples(module):
    """The docstrings of what a module makes public, with their examples."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for test in finder.find(module, module.__name__, globs={}) if test.examples and "._" not in test.name.removeprefix(module.__name__)]


class Environment:
    def step(self, action):
        return np.zeros(8), 0.0, False, False, {}


def names(needs):
    """What the examples speak of."""
    latents = np.random.default_rng(0).standard_normal((4, *mote.convert(LATENT, scheme="w8a16").shape)).astype(np.float32)
    policy = mote.Policy(mote.convert(LANDER, scheme="w8a8"), LANDER)
    policy.act(np.zeros(8))
    found = {
        "mote": mote,
        "np": np,
        "model": mote.Model("my.mote"),
        "images": mote.Model("my.mote").sample(0, steps=1),
        "decoder": mote.convert(LATENT, scheme="w8a16"),
        "latents": latents,
        "old": np.zeros((1, 16, 16)),
        "hole": np.eye(16, dtype=bool),
        "policy": policy,
        "observation": np.zeros(8),
        "environment": Environment(),
    }
    torch, diffusers = here("torch"), here("diffusers")
    if needs and torch and diffusers:
        torch.set_num_threads(1)
        pipeline = diffusers.DDIMPipeline.from_pretrained(CHECKPOINT)
        pipeline.set_progress_bar_config(disable=True)
        noisy = torch.zeros(2, 1, 16, 16)
        found |= {"torch": torch, "pipeline": pipeline, "scheduler": pipeline.scheduler, "DDIMPipeline": diffusers.DDIMPipeline}
        found |= {"noisy": noisy, "timestep": 500, "noise": noisy, "x": noisy, "t": torch.tensor([3, 500])}
        if needs == "torch":
            found["unet"] = pipeline.unet
            found["net"] = mote.torch.QuantizedModule(pipeline.unet, mote.convert(pipeline, scheme="w8a8"))
            found["optimizer"] = torch.optim.SGD(found["net"].parameters(), lr=1e-6)
        else:
            found["unet"] = mote.diffusers.UNet(found["model"], pipeline.unet.config)
    return found


class Examples(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        model = mote.convert(CHECKPOINT, "my.mote", scheme="w8a8")
        shutil.copytree(CHECKPOINT, "my-checkpoint")
        shutil.copytree(LANDER, "my-policy")
        for i in range(2):
            model.sample_part(f"part-{i}.npz", count=8, shard=(i, 2), steps=1)
        opened = webbrowser.open
        webbrowser.open = lambda url: True
        self.addCleanup(setattr, webbrowser, "open", opened)
        warnings.simplefilter("ignore")

    def run_all(self, module, needs=None):
        runner = doctest.DocTestRunner(checker=Said(), verbose=False, optionflags=doctest.ELLIPSIS)
        found = names(needs)
        for test in examples(module):
            # Each begins with a model that is open and a run that is its own.
            test.globs = {**found, "model": mote.Model("my.mote")} if needs != "torch" else dict(found)
            said = []
            runner.run(test, out=said.append)
            self.assertEqual(said, [], "".join(said))

    def test_those_of_the_package(self):
        import mote._convert as converting

        for name in PUBLIC:
            module = importlib.import_module(name)
            if module is converting and here("diffusers") is None:
                continue
            self.run_all(module, "diffusers" if module is converting else None)

    def test_those_with_diffusers(self):
        if here("diffusers") is None or here("torch") is None:
            self.skipTest("the examples with diffusers: diffusers is not installed")
        self.run_all(importlib.import_module("mote.diffusers"), "diffusers")

    def test_those_with_pytorch(self):
        if here("diffusers") is None or here("torch") is None:
            self.skipTest("the examples with PyTorch: PyTorch is not installed")
        self.run_all(importlib.import_module("mote.torch"), "torch")

    def test_every_public_verb_has_one(self):
        missing = []
        for name in [*PUBLIC, *OTHERS]:
            if here(OTHERS.get(name, "numpy")) is None:
                continue
            module = importlib.import_module(name)
            for key, value in vars(module).items():
                if key.startswith("_") or getattr(value, "__module__", None) != name:
                    continue
                if inspect.isclass(value):
                    missing += [f"{name}.{key}.{verb}" for verb, method in vars(value).items() if wants(verb, method)]
                if inspect.isfunction(value) and wants(key, value):
                    missing.append(f"{name}.{key}")
        self.assertEqual(missing, [])


def wants(name, value):
    """Whether it is a public verb without an example."""
    return not name.startswith("_") and inspect.isfunction(value) and ">>>" not in (value.__doc__ or "")


if __name__ == "__main__":
    unittest.main()
