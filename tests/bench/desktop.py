#!/usr/bin/env python3
"""A network call on one thread of this machine: mote against PyTorch and onnxruntime, for any checkpoint or geometry.

    pip install torch diffusers onnx onnxscript onnxruntime safetensors
    cargo build --release
    python tests/bench/desktop.py                                  # the bundled network
    python tests/bench/desktop.py --geometry unet28                # random weights: speed does not depend on them
    python tests/bench/desktop.py --geometry cifar32 --batches 1
    python tests/bench/desktop.py --checkpoint DIR

A checkpoint is a folder of diffusers with a UNet2DModel. It is checked against its reference vectors where it has some. It is exported
to ONNX and quantized to int8 twice: statically (QDQ, a scale a channel, calibrated on its own DDIM trajectories) and dynamically.
Every engine then runs the network on one thread, the engines in turn, and the medians are compared. With `--clock cpu` they are
compared by processor time, which other programs of a busy machine disturb less.
"""

import argparse
import json
import math
import os
import resource
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
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.torch import load_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]

GEOMETRIES = {
    # Attention at 14x14 and 7x7 with 8 channels a head: 318 million multiply-accumulates.
    "unet28": dict(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(32, 64, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    ),
    # The configuration of google/ddpm-cifar10-32: 35.7 million parameters.
    "cifar32": dict(
        sample_size=32,
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    ),
}


def made(geometry, folder):
    """A checkpoint of this geometry with random weights."""
    torch.manual_seed(0)
    DDPMPipeline(UNet2DModel(**GEOMETRIES[geometry]), DDPMScheduler()).save_pretrained(folder, safe_serialization=True)
    return folder


class Sample(nn.Module):
    """The network as a function of two tensors."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, t):
        return self.net(x, t, return_dict=False)[0]


def check(net, checkpoint):
    """Compares single passes with the reference outputs, where there are some."""
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


def export(net, shape, checkpoint, folder, seeds):
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
    inputs = trajectory(lambda x, t: first.run(None, {"x": x, "t": t})[0], checkpoint, shape, seeds)
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


def seconds_of(call, clock, least=0.2):
    """Median seconds of a call."""
    call()
    times, began = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < least:
        start = clock()
        call()
        times.append(clock() - start)
    return statistics.median(times)


def mote_ms(mote, model, backend, batch):
    """Milliseconds of an image's step by the wall."""
    command = [mote, "bench", model, "--backends", backend, "--batch", str(batch), "--steps", "20", "--json"]
    row = next(r for r in json.loads(subprocess.check_output(command))["backends"] if r["name"] == backend)
    return row["ms_per_step"] if batch == 1 else row["ms_per_image_step"]


def mote_cpu_ms(mote, model, backend, batch, about_ms):
    """The same in processor time: what more steps of a whole process take. A batch of 1 is one image, whose timesteps are all different."""
    images = batch * max(1, round(400 / (20 * about_ms * batch))) if batch > 1 else 1
    more = 20 if batch > 1 else min(900, max(20, round(400 / about_ms)))

    def seconds(steps):
        with tempfile.TemporaryDirectory() as folder:
            command = [mote, "sample", model, "-o", f"{folder}/out.png", "--backend", backend]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.check_call(
                [*command, "--count", str(images), "--steps", str(steps)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return 1e3 * (seconds(4 + more) - seconds(4)) / (more * images)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mote", default=str(ROOT / "target/release/mote"), help="the command")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "tools/assets/fashion16-tiny")
    parser.add_argument("--geometry", choices=GEOMETRIES, help="random weights in this geometry instead of a checkpoint")
    parser.add_argument("--model", help="mote's file of this checkpoint, if it is there already")
    parser.add_argument("--onnx", type=Path, help="a folder where the ONNX files are kept for the next time")
    parser.add_argument("--scheme", default="w8a8", help="number formats of mote's model")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=5, help="how often the engines take turns")
    parser.add_argument("--seeds", type=int, default=4, help="trajectories that onnxruntime's static model is calibrated on")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="what is measured")
    parser.add_argument("--portable", action="store_true", help="measure the runtime's own kernels as well")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        checkpoint = made(args.geometry, folder / args.geometry) if args.geometry else args.checkpoint
        net = UNet2DModel.from_pretrained(checkpoint / "unet").eval()
        size = net.config.sample_size
        shape = (net.config.in_channels, *(size if isinstance(size, (list, tuple)) else (size, size)))
        net = Sample(net)
        if not args.geometry:
            check(net, checkpoint)
        kept = args.onnx or folder
        kept.mkdir(parents=True, exist_ok=True)
        paths = {f"onnxruntime {name}": kept / f"{file}.onnx" for name, file in
                 (("float32", "float"), ("int8 static", "static"), ("int8 dynamic", "dynamic"))}
        if not all(path.exists() for path in paths.values()):
            paths = export(net, shape, checkpoint, kept, args.seeds)
        sessions = {name: session(path) for name, path in paths.items()}
        model = args.model or str(folder / "model.mote")
        if not args.model:
            command = [args.mote, "convert", str(checkpoint), "-o", model, "--scheme", args.scheme]
            subprocess.check_call(command, stdout=sys.stderr)
        backends = ["cpu", "portable"] if args.portable else ["cpu"]
        clock = time.perf_counter if args.clock == "wall" else time.thread_time
        versions = {"torch": torch.__version__, "onnxruntime": ort.__version__}
        result = {**versions, "scheme": args.scheme, "clock": args.clock, "batches": {}}
        for batch in args.batches:
            x = torch.randn(batch, *shape)
            t = torch.full((batch,), 500, dtype=torch.int64)
            feed = {"x": x.numpy(), "t": t.numpy()}

            def eager():
                with torch.inference_mode():
                    net(x, t)

            engines = {"torch float32 eager": lambda: 1e3 * seconds_of(eager, clock) / batch}
            for name, s in sessions.items():
                engines[name] = lambda s=s: 1e3 * seconds_of(lambda: s.run(None, feed), clock) / batch
            for backend in backends:
                about = mote_ms(args.mote, model, backend, 1) if args.clock == "cpu" else 0
                engines[f"mote {backend}"] = lambda backend=backend, about=about: (
                    mote_cpu_ms(args.mote, model, backend, batch, about) if about else mote_ms(args.mote, model, backend, batch)
                )
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
        what = "processor time" if args.clock == "cpu" else "wall"
        print(f"\nbatch {batch}: milliseconds an image and step, one thread, {what} (median of {args.rounds})")
        for name, ms in row.items():
            print(f"  {name:<26}{ms:8.3f} ms  {ms / own:6.2f} x mote cpu")
        best = min(ms for name, ms in row.items() if name.startswith("onnx"))
        print(f"  mote is {best / own:.2f} x as fast as the best onnxruntime, {row['torch float32 eager'] / own:.2f} x torch")


if __name__ == "__main__":
    main()
