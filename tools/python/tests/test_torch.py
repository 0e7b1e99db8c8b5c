"""The package with PyTorch. Run by tests/python.rs where PyTorch is there, or: python -m unittest discover tools/python/tests."""

import copy
import json
import os
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import numpy as np

import mote

try:
    import torch
except ImportError:
    torch = None
try:
    import diffusers
except ImportError:
    diffusers = None

ROOT = Path(os.environ.get("MOTE_TEST_ROOT", Path(__file__).parents[3]))
LANDER = ROOT / "tests" / "data" / "lander-policy"
FASHION = Path(os.environ.get("MOTE_TEST_CHECKPOINT", Path(__file__).parents[2] / "assets" / "fashion16-tiny"))
SCHEDULER = {"_class_name": "DDPMScheduler", "num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2"}


def setUpModule():
    if torch is None:
        raise unittest.SkipTest("the Python package with PyTorch: PyTorch is not installed")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="torch")


def small(**changes):
    """A U-Net of diffusers with weights of a fixed seed, and its scheduler."""
    torch.manual_seed(0)
    config = dict(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        add_attention=False,
    )
    return diffusers.UNet2DModel(**{**config, **changes}).eval(), diffusers.DDPMScheduler(num_train_timesteps=100)


if torch is not None:

    class Signal(torch.nn.Module):
        """A small network for signals, (sample, channel, time), that no library knows."""

        def __init__(self, channels=8):
            super().__init__()
            torch.manual_seed(1)
            self.channels = channels
            self.first = torch.nn.Conv1d(2, channels, 3, padding=1)
            self.time = torch.nn.Sequential(torch.nn.Linear(8, channels), torch.nn.SiLU(), torch.nn.Linear(channels, channels))
            self.norm = torch.nn.GroupNorm(4, channels)
            self.middle = torch.nn.Conv1d(channels, channels, 3, padding=1)
            self.last = torch.nn.Conv1d(channels, 2, 3, padding=1)

        def forward(self, x, t):
            rates = torch.exp(torch.arange(4) * -1.5)
            angles = t[:, None].float() * rates[None]
            time = self.time(torch.cat([angles.sin(), angles.cos()], dim=-1))
            h = self.first(x) + time[:, :, None]
            h = h + self.middle(torch.nn.functional.silu(self.norm(h)))
            return self.last(torch.nn.functional.silu(h))

    EXAMPLE = (torch.zeros(1, 2, 16), torch.zeros(1, dtype=torch.int64))
DESCRIPTION = {"inputs": {"x": "sample", "t": "timestep"}, "layout": "(channel, time)"}


def sqnr_db(found, expected):
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    return 10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum())


class Converting(unittest.TestCase):
    def test_a_module_with_example_inputs(self):
        net = Signal().train()
        net.norm.eval()
        model = mote.convert(net, scheme="w8a16", example=EXAMPLE, description=DESCRIPTION, scheduler=SCHEDULER)
        self.assertEqual(model.shape, (2, 1, 16))
        self.assertTrue(net.training and not net.norm.training, "modes of training are given back")
        x, t = torch.randn(3, 2, 16), torch.tensor([3, 50, 99])
        with torch.no_grad():
            expected = net(x, t)
        self.assertGreater(sqnr_db(model.predict(x[:, :, None], t)[:, :, 0], expected), 25)
        named = {"x": EXAMPLE[0], "t": EXAMPLE[1]}
        again = mote.convert(net, scheme="w8a16", example=named, description=DESCRIPTION, scheduler=SCHEDULER)
        self.assertEqual(len(again.to_bytes()), len(model.to_bytes()))

    @unittest.skipIf(diffusers is None, "the Python package with diffusers: diffusers is not installed")
    def test_a_pipeline_and_a_model_are_the_folder_they_save(self):
        net, scheduler = small()
        pipeline = diffusers.DDPMPipeline(unet=net, scheduler=scheduler)
        with tempfile.TemporaryDirectory() as folder:
            pipeline.save_pretrained(folder)
            saved = mote.convert(folder, scheme="w8a8").to_bytes()
        self.assertEqual(mote.convert(pipeline, scheme="w8a8").to_bytes(), saved)
        self.assertEqual(mote.convert(net, scheme="w8a8", scheduler=scheduler).to_bytes(), saved)
        self.assertEqual(mote.convert(net, scheme="w8a8", scheduler=dict(scheduler.config)).to_bytes(), saved)

    @unittest.skipIf(diffusers is None, "the Python package with diffusers: diffusers is not installed")
    def test_a_transformer(self):
        torch.manual_seed(0)
        net = diffusers.DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=1, num_layers=1, sample_size=8, patch_size=2, num_embeds_ada_norm=4
        )
        with torch.no_grad():
            # The library begins with an output of zeros.
            for parameter in net.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        net.eval()
        model = mote.convert(net, scheme="w8a16", scheduler=diffusers.DDIMScheduler())
        self.assertEqual(model.shape, (1, 8, 8))
        x, t, labels = torch.randn(2, 1, 8, 8), torch.tensor([10, 700]), torch.tensor([1, 3])
        with torch.no_grad():
            expected = net(x, timestep=t, class_labels=labels).sample
        answer = mote.diffusers.UNet(model)(x, timestep=t, class_labels=labels).sample
        self.assertGreater(sqnr_db(answer, expected), 25)

    def test_what_cannot_be_says_what_to_do(self):
        class Depends(Signal):
            def forward(self, x, t):
                return super().forward(x, t) if x.sum() > 0 else x

        def broken(kind):
            net = Signal()
            with torch.no_grad():
                net.middle.weight[0, 0, 0] = kind
            return net

        def convert(net, **changes):
            given = dict(scheme="w8a8", example=EXAMPLE, description=DESCRIPTION, scheduler=SCHEDULER)
            return lambda: mote.convert(net, **{**given, **changes})

        cases = [
            ("description", convert(Signal(), description=None)),
            ("example", convert(Signal(), example=None)),
            ("one tensor", convert(Signal(), example=EXAMPLE[0])),
            ("export", convert(Signal(), example=(torch.zeros(1, 3, 16), EXAMPLE[1]))),
            ("export", convert(Depends())),
            ("middle.weight", convert(broken(float("nan")))),
            ("middle.weight", convert(broken(float("inf")))),
            ("meta", convert(Signal().to("meta"))),
            ("JSON", convert(Signal(), description={**DESCRIPTION, "range": {1, 2}})),
            ("str", convert(Signal(), description="(channel, time)")),
            ("inputs", convert(Signal(), description={"layout": "(channel, time)"})),
            ("class", convert(Signal)),
            ("scheduler", convert(Signal(), scheduler=3)),
            ("folder", lambda: mote.convert(LANDER, example=EXAMPLE)),
            ("scheduler", convert(Signal(), scheduler=None)),
        ]
        for says, call in cases:
            with self.subTest(says=says):
                with self.assertRaises(mote.MoteError) as caught:
                    call()
                self.assertIn(says, str(caught.exception))
                self.assertTrue(caught.exception.advice)
                self.assertTrue(caught.exception.code)
                self.assertNotIn(tempfile.gettempdir(), str(caught.exception))


class Policies(unittest.TestCase):
    def test_a_checkpoint_of_diffusion_policy_with_its_normalizer(self):
        source = ROOT / "tests" / "data" / "importers" / "policy"
        raw = (source / "model.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        state = {}
        for name, facts in json.loads(raw[8 : 8 + length]).items():
            if name != "__metadata__":
                first, end = (8 + length + at for at in facts["data_offsets"])
                state[f"model.{name}"] = torch.from_numpy(np.frombuffer(raw[first:end], "<f4").copy()).reshape(facts["shape"])
        for what, scale, offset, least, most in (("obs", [0.5, 1, 2], [0, 1, 0], [-2, -2, -0.5], [2, 0, 0.5]), ("action", [2, 4], [0, 0], [-0.5, -0.25], [0.5, 0.25])):
            for name, numbers in (("scale", scale), ("offset", offset), ("input_stats.min", least), ("input_stats.max", most)):
                state[f"normalizer.params_dict.{what}.{name}"] = torch.tensor(numbers, dtype=torch.float32)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            torch.save({"cfg": {}, "state_dicts": {"ema_model": state, "optimizer": {"state": {}, "param_groups": []}}, "pickles": {"epoch": b"1"}}, place / "latest.ckpt")
            config = {**json.loads((source / "config.json").read_text()), "n_obs_steps": 1, "n_action_steps": 3}
            (place / "config.json").write_text(json.dumps(config))
            (place / "scheduler").mkdir()
            (place / "scheduler" / "scheduler_config.json").write_text((source / "scheduler" / "scheduler_config.json").read_text())
            model = mote.convert(place / "latest.ckpt", scheme="f16")
            policy = mote.Policy(model, place / "latest.ckpt", steps=2)
            actions = [policy.act(torch.tensor([1.0, -1.0, 0.25])) for _ in range(3)]
            np.testing.assert_allclose(policy.condition(), [0.5, 0, 0.5], atol=1e-6)
            plan = model.sample([0], steps=2, condition=policy.condition()).samples[0, :, 0]
            np.testing.assert_allclose(np.array(actions), plan.T[:3] / [2, 4], atol=1e-6)
            state["normalizer.params_dict.obs.input_stats.max"][2] = 3
            torch.save({"state_dicts": {"ema_model": state}}, place / "latest.ckpt")
            with self.assertRaises(mote.UsageError) as caught:
                mote.Policy(model, place / "latest.ckpt")
            self.assertIn("condition_range", caught.exception.advice)


class Arrays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = mote.convert(Signal(), scheme="w8a8", example=EXAMPLE, description=DESCRIPTION, scheduler=SCHEDULER)

    def test_tensors_come_in_and_arrays_go_out(self):
        x = torch.randn(2, 2, 1, 16, requires_grad=True)
        found = self.model.predict(x, torch.tensor([1, 2]))
        np.testing.assert_array_equal(found, self.model.predict(x.detach().numpy(), [1, 2]))
        np.testing.assert_array_equal(found, self.model.predict(x.double(), [1, 2]))
        strided = x.detach().transpose(2, 3).contiguous().transpose(2, 3)
        np.testing.assert_array_equal(found, self.model.predict(strided, [1, 2]))
        rounded = x.detach().bfloat16()
        np.testing.assert_array_equal(self.model.predict(rounded, [1, 2]), self.model.predict(rounded.float(), [1, 2]))
        images = self.model.sample(torch.tensor([4, 5]), steps=2, start=x)
        for array in (found, images.samples, images.pixels):
            # In the same memory, which another library may write to.
            tensor = torch.from_dlpack(array)
            self.assertEqual(tensor.data_ptr(), array.ctypes.data)
            self.assertTrue(array.flags.writeable)

    def test_wrong_tensors_raise(self):
        x = torch.zeros(1, 2, 1, 16)
        for call in (
            lambda: self.model.predict(x * float("nan"), 0),
            lambda: self.model.predict(x.to(torch.complex64), 0),
            lambda: self.model.predict(x.to("meta"), 0),
            lambda: self.model.predict(x[:, :1], 0),
            lambda: self.model.predict(x.to_sparse(), 0),
            lambda: self.model.predict(x, torch.tensor([1, 2])),
            lambda: self.model.predict(x, torch.tensor(float("nan"))),
            lambda: self.model.sample(torch.tensor([0.5])),
            lambda: self.model.sample(0, start=x.to("meta")),
        ):
            with self.assertRaises(mote.MoteError) as caught:
                call()
            self.assertTrue(caught.exception.advice)


@unittest.skipIf(diffusers is None, "the Python package with diffusers: diffusers is not installed")
class Pipelines(unittest.TestCase):
    def test_a_pipeline_on_the_quantized_network_is_the_device_s_sampler(self):
        import mote.diffusers

        pipeline = diffusers.DDIMPipeline.from_pretrained(FASHION)
        model = mote.convert(pipeline, scheme="w8a8")
        quantized = diffusers.DDIMPipeline(unet=mote.diffusers.UNet(model, pipeline.unet.config), scheduler=pipeline.scheduler)
        quantized.set_progress_bar_config(disable=True)
        noise = torch.randn(4, *model.shape, generator=torch.Generator().manual_seed(3))
        run = dict(batch_size=4, num_inference_steps=10, output_type="np", generator=torch.Generator().manual_seed(3))
        found = quantized(**run).images.transpose(0, 3, 1, 2) * 2 - 1
        device = np.clip(model.sample(range(4), start=noise, steps=10).samples, -1, 1)
        self.assertLess(np.abs(found - device).mean(), 0.02)

    def test_schedulers_go_between_the_timesteps(self):
        import mote.diffusers

        pipeline = diffusers.DDPMPipeline.from_pretrained(FASHION)
        model = mote.convert(pipeline, scheme="w8a16")
        runs = []
        for net in (mote.diffusers.UNet(model, pipeline.unet.config), pipeline.unet.eval()):
            scheduler = diffusers.EulerDiscreteScheduler.from_config(pipeline.scheduler.config, timestep_spacing="linspace")
            scheduler.set_timesteps(6)
            self.assertTrue(any(float(t) % 1 for t in scheduler.timesteps))
            x = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(3)) * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                with torch.no_grad():
                    x = scheduler.step(net(scheduler.scale_model_input(x, t), t).sample, t, x).prev_sample
            runs.append(x)
        self.assertLess((runs[0] - runs[1]).square().mean().item(), 0.002)

    def test_a_signal_keeps_its_axes(self):
        import mote.diffusers

        net = Signal()
        model = mote.convert(net, scheme="f16", example=EXAMPLE, description=DESCRIPTION, scheduler=SCHEDULER)
        unet = mote.diffusers.UNet(model)
        self.assertEqual((unet.config.in_channels, unet.config.sample_size), (2, 16))
        self.assertEqual(next(unet.parameters()).dtype, torch.float32)
        x = torch.randn(3, 2, 16)
        found = unet(x, 40).sample
        self.assertEqual(found.shape, x.shape)
        self.assertEqual(found.numpy().tobytes(), model.predict(x[:, :, None], 40).tobytes())

    def test_wrong_calls_raise(self):
        import mote.diffusers

        net, scheduler = small()
        unet = mote.diffusers.UNet(mote.convert(net, scheme="w8a8", scheduler=scheduler))
        x = torch.zeros(1, 1, 8, 8)
        self.assertIsInstance(unet(x, 3, return_dict=False), tuple)
        self.assertEqual(unet(x.half(), torch.tensor(3)).sample.dtype, torch.float16)
        for call in (
            lambda: unet(x),
            lambda: unet(timestep=3),
            lambda: unet(x, 3, encoder_hidden_states=x),
            lambda: unet(x, 3, class_labels=torch.tensor([1])),
            lambda: unet(x[:, :, :4], 3),
            lambda: unet(x, 100),
            lambda: mote.diffusers.UNet(net),
        ):
            with self.assertRaises(mote.MoteError):
                call()


class Training(unittest.TestCase):
    def quantized(self, scheme, **options):
        from mote.torch import QuantizedModule

        net = Signal()
        model = mote.convert(net, scheme=scheme, example=EXAMPLE, description=DESCRIPTION, scheduler=SCHEDULER)
        return net, model, QuantizedModule(net, model, **options)

    def test_the_forward_pass_is_the_engine_s(self):
        net, model, quantized = self.quantized("w8a8")
        self.assertEqual(quantized.model.predict(np.ones((1, 2, 1, 16)), 3).tobytes(), model.predict(np.ones((1, 2, 1, 16)), 3).tobytes())
        x, t = torch.randn(3, 2, 16), torch.tensor([1, 40, 99])
        optimizer = torch.optim.SGD(quantized.parameters(), lr=0.05)
        for _ in range(3):
            before = quantized.model.to_bytes()
            out = quantized(x, t)
            expected = quantized.model.predict(x[:, :, None], t)[:, :, 0]
            np.testing.assert_array_equal(out.detach().numpy(), expected)
            out.square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            self.assertNotEqual(quantized.model.to_bytes(), before)
        with torch.no_grad():
            np.testing.assert_array_equal(quantized(x, t).numpy(), quantized.model.predict(x[:, :, None], t)[:, :, 0])
        self.assertTrue(all(outcome["held"] for outcome in quantized.model.validate(["cpu", "portable", "oracle"], seeds=1, steps=2)))

    def test_gradients_are_the_float_network_s(self):
        net, _, quantized = self.quantized("w16a16")
        x, t = torch.randn(2, 2, 16, requires_grad=True), torch.tensor([1, 40])
        slope = torch.randn(2, 2, 16)
        found = torch.autograd.grad((quantized(x, t) * slope).sum(), [x, *net.parameters()])
        expected = torch.autograd.grad((net(x, t) * slope).sum(), [x, *net.parameters()])
        for one, other in zip(found, expected):
            torch.testing.assert_close(one, other)

    def test_weights_of_4_bits_begin_as_the_converter_rounded_them(self):
        net, model, quantized = self.quantized("w4a16")
        own = quantized.model.to_bytes()
        _, _, nearest = self.quantized("w4a16", start="net")
        x, t = torch.randn(64, 2, 16), torch.arange(64)
        with torch.no_grad():
            expected = Signal()(x, t)
            started, rounded = (sqnr_db(each(x, t), expected) for each in (quantized, nearest))
        converted = sqnr_db(model.predict(x[:, :, None], t)[:, :, 0], expected)
        self.assertLess(abs(started - converted), 0.1, (started, converted, rounded))
        self.assertEqual(len(own), len(model.to_bytes()))

    def test_autocast_leaves_the_numbers_as_they_are(self):
        _, _, quantized = self.quantized("w8a8")
        x, t = torch.randn(2, 2, 16), torch.tensor([1, 40])
        expected = quantized(x, t)
        with torch.autocast("cpu", torch.bfloat16):
            out = quantized(x, t)
        np.testing.assert_array_equal(out.detach(), expected.detach())
        out.square().mean().backward()
        self.assertTrue(all(torch.isfinite(parameter.grad).all() for parameter in quantized.parameters()))

    def test_modules_that_share_weights(self):
        from mote.torch import QuantizedModule

        net = Signal()
        net.time[2] = net.time[0]
        shared = copy.deepcopy(net)
        self.assertIs(shared.time[2], shared.time[0])
        model = mote.convert(shared, scheme="w8a8", example=EXAMPLE, description=DESCRIPTION, scheduler=SCHEDULER)
        quantized = QuantizedModule(shared, model)
        x, t = torch.randn(2, 2, 16), torch.tensor([1, 40])
        optimizer = torch.optim.SGD(quantized.parameters(), lr=0.05)
        for _ in range(2):
            out = quantized(x, t)
            np.testing.assert_array_equal(out.detach(), quantized.model.predict(x[:, :, None], t)[:, :, 0])
            out.square().mean().backward()
            optimizer.step()

    def test_training_brings_the_model_closer(self):
        _, _, quantized = self.quantized("w4a16", start="net")
        teacher = Signal().eval()
        optimizer = torch.optim.Adam(quantized.parameters(), lr=1e-4)
        x, t = torch.randn(256, 2, 16), torch.arange(256) % 100
        with torch.no_grad():
            target = teacher(x, t)
            before = sqnr_db(quantized(x, t), target)
        for i in range(40):
            pick = slice(32 * (i % 8), 32 * (i % 8) + 32)
            loss = (quantized(x[pick], t[pick]) - target[pick]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            after = sqnr_db(quantized(x, t), target)
        self.assertGreater(after, before + 1, (before, after))

    def test_an_exported_policy(self):
        from mote.torch import QuantizedModule

        net = torch.export.load(LANDER / "net.pt2").module()
        model = mote.convert(LANDER, scheme="w8a8")
        quantized = QuantizedModule(net, model)
        data = np.load(LANDER / "demos.npz")
        x, cond = torch.from_numpy(data["x"][:1]), torch.from_numpy(data["cond"][:1])
        t = torch.tensor([5])
        out = quantized(x, t, cond)
        expected = model.predict(x.transpose(1, 2)[:, :, None], t, condition=cond)[:, :, 0].transpose(0, 2, 1)
        np.testing.assert_array_equal(out.detach(), expected)
        out.square().mean().backward()
        self.assertTrue(all(parameter.grad is not None for parameter in net.parameters()))

    @unittest.skipIf(diffusers is None, "the Python package with diffusers: diffusers is not installed")
    def test_a_diffusers_network(self):
        from mote.torch import QuantizedModule

        net, scheduler = small()
        model = mote.convert(net, scheme="w8a8", scheduler=scheduler)
        quantized = QuantizedModule(net, model)
        x = torch.randn(2, 1, 8, 8)
        out = quantized(x, torch.tensor([3, 7])).sample
        np.testing.assert_array_equal(out.detach(), model.predict(x, [3, 7]))
        self.assertIsInstance(quantized(x, 3, return_dict=False), tuple)
        with torch.no_grad():
            self.assertIsInstance(quantized(x, 3, return_dict=False), tuple)
            self.assertEqual(quantized(x, 3).sample.shape, x.shape)
        other = copy.deepcopy(quantized)
        with torch.no_grad():
            other.net.conv_out.weight.mul_(1.1)
        self.assertNotEqual(other.model.to_bytes(), quantized.model.to_bytes())
        np.testing.assert_array_equal(quantized(x, torch.tensor([3, 7])).sample.detach(), out.detach())

    def test_what_cannot_be_says_what_to_do(self):
        from mote.torch import QuantizedModule

        net, model, quantized = self.quantized("w8a8")
        x = torch.zeros(1, 2, 16)
        given = dict(example=EXAMPLE, description=DESCRIPTION, scheduler=SCHEDULER)
        cases = [
            (mote.UsageError, lambda: QuantizedModule(net, mote.Model(model.to_bytes()))),
            (mote.UsageError, lambda: QuantizedModule(model, net)),
            (mote.UsageError, lambda: QuantizedModule(net, model, start="zero")),
            (mote.RefusedError, lambda: QuantizedModule(net, mote.convert(net, scheme="f16", **given))),
            (mote.MoteError, lambda: QuantizedModule(Signal(16), model)),
            (mote.UsageError, lambda: quantized(x)),
            (mote.UsageError, lambda: quantized(x[:, :, :8], torch.tensor([1]))),
            (mote.UsageError, lambda: quantized(x * float("nan"), torch.tensor([1]))),
            (mote.RefusedError, lambda: quantized(x, torch.tensor([100]))),
        ]
        for kind, call in cases:
            with self.assertRaises(kind) as caught:
                call()
            self.assertTrue(caught.exception.advice)
        with torch.no_grad():
            net.last.bias[0] = float("nan")
        with self.assertRaises(mote.MoteError):
            quantized(x, torch.tensor([1]))


if __name__ == "__main__":
    unittest.main()
