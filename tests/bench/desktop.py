#!/usr/bin/env python3
"""A step of the bundled network on one thread of this machine: mote against PyTorch and onnxruntime.

    pip install torch onnx onnxscript onnxruntime safetensors
    cargo build --release
    python tests/bench/desktop.py

The U-Net is built in plain torch from the checkpoint's config and weights and checked against the checkpoint's reference vectors.
It is exported to ONNX and quantized to int8 twice: statically (QDQ, a scale a channel, calibrated on its own DDIM trajectories) and
dynamically. Every engine then runs the network on one thread, the engines in turn, and the medians are compared.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import onnxruntime as ort
import torch
import torch.nn.functional as F
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.torch import load_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]


class Resnet(nn.Module):
    def __init__(self, ins, outs, time, groups, eps):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, ins, eps)
        self.conv1 = nn.Conv2d(ins, outs, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, outs)
        self.norm2 = nn.GroupNorm(groups, outs, eps)
        self.conv2 = nn.Conv2d(outs, outs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(ins, outs, 1) if ins != outs else None

    def forward(self, x, embedding):
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(embedding))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Attention(nn.Module):
    def __init__(self, channels, depth, groups, eps):
        super().__init__()
        self.heads = channels // depth
        self.group_norm = nn.GroupNorm(groups, channels, eps)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        batch, channels, rows, cols = x.shape
        h = self.group_norm(x).flatten(2).transpose(1, 2)
        split = lambda t: t.reshape(batch, rows * cols, self.heads, channels // self.heads).transpose(1, 2)
        q, k, v = split(self.to_q(h)), split(self.to_k(h)), split(self.to_v(h))
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(channels // self.heads), dim=-1)
        h = (weights @ v).transpose(1, 2).reshape(batch, rows * cols, channels)
        return x + self.to_out[0](h).transpose(1, 2).reshape(batch, channels, rows, cols)


class Sampler(nn.Module):
    def __init__(self, channels, down):
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=1)

    def forward(self, x):
        return self.conv(x if self.down else F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Block(nn.Module):
    """Resnets, attentions where the level has them, then a sampler."""

    def __init__(self, c, pairs, outs, attends, sampler):
        super().__init__()
        time, groups, eps = 4 * c["block_out_channels"][0], c["norm_num_groups"], c["norm_eps"]
        self.resnets = nn.ModuleList(Resnet(ins, outs, time, groups, eps) for ins in pairs)
        if attends:
            depth = c["attention_head_dim"]
            count = len(pairs) - (sampler == "mid")
            self.attentions = nn.ModuleList(Attention(outs, depth, groups, eps) for _ in range(count))
        if sampler in ("downsamplers", "upsamplers"):
            setattr(self, sampler, nn.ModuleList([Sampler(outs, sampler == "downsamplers")]))

    def attend(self, i, x):
        return self.attentions[i](x) if hasattr(self, "attentions") and i < len(self.attentions) else x


class UNet(nn.Module):
    """diffusers' UNet2DModel, as far as the bundled checkpoints use it."""

    def __init__(self, c):
        super().__init__()
        widths, layers = c["block_out_channels"], c["layers_per_block"]
        self.half = widths[0] // 2
        self.time_embedding = nn.ModuleDict(
            {"linear_1": nn.Linear(widths[0], 4 * widths[0]), "linear_2": nn.Linear(4 * widths[0], 4 * widths[0])}
        )
        self.conv_in = nn.Conv2d(c["in_channels"], widths[0], 3, padding=1)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for i, (kind, outs) in enumerate(zip(c["down_block_types"], widths)):
            last = i + 1 == len(widths)
            pairs = [width if layer == 0 else outs for layer in range(layers)]
            self.down_blocks.append(Block(c, pairs, outs, "Attn" in kind, None if last else "downsamplers"))
            skips += [outs] * (layers + (not last))
            width = outs
        self.mid_block = Block(c, [width, width], width, c["add_attention"], "mid")
        for i, (kind, outs) in enumerate(zip(c["up_block_types"], reversed(widths))):
            pairs = [(width if layer == 0 else outs) + skips.pop() for layer in range(layers + 1)]
            last = i + 1 == len(widths)
            self.up_blocks.append(Block(c, pairs, outs, "Attn" in kind, None if last else "upsamplers"))
            width = outs
        self.conv_norm_out = nn.GroupNorm(c["norm_num_groups"], width, c["norm_eps"])
        self.conv_out = nn.Conv2d(width, c["out_channels"], 3, padding=1)

    def forward(self, x, t):
        rate = torch.exp(torch.arange(self.half, dtype=torch.float32) * (-math.log(10000) / self.half))
        angle = t[:, None].float() * rate[None]
        e = torch.cat([torch.cos(angle), torch.sin(angle)], dim=1)
        e = self.time_embedding["linear_2"](F.silu(self.time_embedding["linear_1"](e)))
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            for i, resnet in enumerate(block.resnets):
                x = block.attend(i, resnet(x, e))
                skips.append(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block.attend(0, self.mid_block.resnets[0](x, e))
        x = self.mid_block.resnets[1](x, e)
        for block in self.up_blocks:
            for i, resnet in enumerate(block.resnets):
                x = block.attend(i, resnet(torch.cat([x, skips.pop()], dim=1), e))
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


def build(checkpoint):
    config = json.loads((checkpoint / "unet/config.json").read_text())
    unsupported = [k for k in ("class_embed_type", "num_class_embeds", "time_embedding_dim") if config.get(k)]
    if unsupported or config["resnet_time_scale_shift"] != "default" or not config["flip_sin_to_cos"]:
        sys.exit(f"{checkpoint}: this script builds unconditional networks like fashion16-tiny only")
    net = UNet(config).eval()
    net.load_state_dict(load_file(checkpoint / "unet/diffusion_pytorch_model.safetensors"), strict=True)
    return net, config


def check(net, checkpoint):
    """Largest distance from the reference outputs of single passes."""
    for path in (checkpoint / "vectors.safetensors", ROOT / "tests/data" / checkpoint.name / "vectors.safetensors"):
        if path.exists():
            v = load_file(path)
            if "fwd.t" not in v:
                continue
            with torch.no_grad():
                error = max(
                    (net(v["fwd.x"][i : i + 1], v["fwd.t"][i : i + 1]) - v["fwd.out"][i : i + 1]).abs().max().item()
                    for i in range(len(v["fwd.t"]))
                )
            if error > 1e-4:
                sys.exit(f"the network differs from the reference vectors by {error}")
            print(f"network against {path.name}: largest difference {error:.1e}", file=sys.stderr)
            return
    print("no reference vectors beside the checkpoint: the network is unchecked", file=sys.stderr)


def trajectory(run, checkpoint, shape, seeds, steps=20):
    """Inputs of the network along DDIM trajectories, x0 clipped."""
    c = json.loads((checkpoint / "scheduler/scheduler_config.json").read_text())
    betas = np.linspace(c["beta_start"], c["beta_end"], c["num_train_timesteps"])
    alphas = np.cumprod(1 - betas)
    stride = c["num_train_timesteps"] // steps
    inputs = []
    for seed in range(seeds):
        x = np.random.default_rng(seed).standard_normal((1, *shape)).astype(np.float32)
        for t in range((steps - 1) * stride, -1, -stride):
            inputs.append({"x": x, "t": np.array([t], np.int64)})
            a, b = alphas[t], alphas[t - stride] if t >= stride else 1.0
            eps = run(x, np.array([t], np.int64))
            x0 = np.clip((x - math.sqrt(1 - a) * eps) / math.sqrt(a), -1, 1)
            x = (math.sqrt(b) * x0 + math.sqrt(1 - b) * eps).astype(np.float32)
    return inputs


class Reader(CalibrationDataReader):
    def __init__(self, inputs):
        self.inputs = iter(inputs)

    def get_next(self):
        return next(self.inputs, None)


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def export(net, shape, checkpoint, folder):
    """The ONNX files by name of the engine."""
    plain, prepared = folder / "float.onnx", folder / "prepared.onnx"
    batch = torch.export.Dim("batch", min=1, max=1024)
    torch.onnx.export(
        net,
        (torch.zeros(2, *shape), torch.zeros(2, dtype=torch.int64)),
        str(plain),
        input_names=["x", "t"],
        output_names=["out"],
        dynamo=True,
        dynamic_shapes={"x": {0: batch}, "t": {0: batch}},
        opset_version=20,
        external_data=False,
        verbose=False,
    )
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    first = session(plain)
    inputs = trajectory(lambda x, t: first.run(None, {"x": x, "t": t})[0], checkpoint, shape, seeds=8)
    static, dynamic = folder / "static.onnx", folder / "dynamic.onnx"
    quantize_static(
        str(prepared),
        str(static),
        Reader(inputs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],
    )
    quantize_dynamic(str(prepared), str(dynamic), weight_type=QuantType.QUInt8)
    return {"onnxruntime float32": plain, "onnxruntime int8 static": static, "onnxruntime int8 dynamic": dynamic}


def seconds_of(call, least=0.2):
    """Median seconds of a call."""
    call()
    times, began = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < least:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def mote_ms(mote, model, backend, batch):
    command = [mote, "bench", model, "--backends", backend, "--batch", str(batch), "--steps", "20", "--json"]
    row = next(r for r in json.loads(subprocess.check_output(command))["backends"] if r["name"] == backend)
    return row["ms_per_step"] if batch == 1 else row["ms_per_image_step"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mote", default=str(ROOT / "target/release/mote"), help="the command")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "tools/assets/fashion16-tiny")
    parser.add_argument("--scheme", default="w8a8", help="number formats of mote's model")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=5, help="how often the engines take turns")
    parser.add_argument("--portable", action="store_true", help="measure the runtime's own kernels as well")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net, config = build(args.checkpoint)
    check(net, args.checkpoint)
    shape = (config["in_channels"], config["sample_size"], config["sample_size"])
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sessions = {name: session(path) for name, path in export(net, shape, args.checkpoint, folder).items()}
        model = str(folder / "model.mote")
        subprocess.check_call(
            [args.mote, "convert", str(args.checkpoint), "-o", model, "--scheme", args.scheme], stdout=sys.stderr
        )
        backends = ["cpu", "portable"] if args.portable else ["cpu"]
        result = {"torch": torch.__version__, "onnxruntime": ort.__version__, "scheme": args.scheme, "batches": {}}
        for batch in args.batches:
            x = torch.randn(batch, *shape)
            t = torch.full((batch,), 500, dtype=torch.int64)
            feed = {"x": x.numpy(), "t": t.numpy()}

            def eager():
                with torch.inference_mode():
                    net(x, t)

            engines = {"torch float32 eager": lambda: 1e3 * seconds_of(eager) / batch}
            for name, s in sessions.items():
                engines[name] = lambda s=s: 1e3 * seconds_of(lambda: s.run(None, feed)) / batch
            for backend in backends:
                engines[f"mote {backend}"] = lambda backend=backend: mote_ms(args.mote, model, backend, batch)
            times = {name: [] for name in engines}
            for _ in range(args.rounds):
                for name, measure in engines.items():
                    times[name].append(measure())
            result["batches"][batch] = {name: statistics.median(ms) for name, ms in times.items()}
    if args.json:
        print(json.dumps(result))
        return
    for batch, row in result["batches"].items():
        own = row["mote cpu"]
        print(f"\nbatch {batch}: milliseconds an image and step, one thread (median of {args.rounds})")
        for name, ms in row.items():
            print(f"  {name:<26}{ms:8.3f} ms  {ms / own:6.2f} x mote cpu")
        best = min(ms for name, ms in row.items() if name.startswith("onnx"))
        print(f"  mote is {best / own:.2f} x as fast as the best onnxruntime, {row['torch float32 eager'] / own:.2f} x torch")


if __name__ == "__main__":
    main()
