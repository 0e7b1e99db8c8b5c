"""Writes the networks of this folder: python make.py FOLDER, with torch, onnx, onnxscript and safetensors (PyTorch 2.15)."""

import json
import math
import os
import sys

import onnx
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn


class Time(nn.Module):
    """Sines, then cosines, of the timestep."""

    def __init__(self, width):
        super().__init__()
        self.half, self.dtype = width // 2, torch.float32

    def forward(self, t):
        rates = torch.exp(torch.arange(self.half, dtype=self.dtype) * (-math.log(10000) / (self.half - 1)))
        angles = t.to(self.dtype)[:, None] * rates[None]
        return torch.cat([angles.sin(), angles.cos()], -1)


class RMS(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.g = nn.Parameter(1 + 0.3 * torch.randn(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.g


class Signal(nn.Module):
    """Label and condition, FiLM, GroupNorm, Mish, both GELUs, LayerNorm, RMSNorm, attention, a transposed convolution, a skip."""

    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(Time(8), nn.Linear(8, 8), nn.Mish(), nn.Linear(8, 8))
        self.label, self.cond = nn.Embedding(4, 8), nn.Linear(3, 8)
        self.enter, self.norm, self.film = nn.Conv1d(2, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.Linear(8, 16)
        self.down = nn.Conv1d(8, 8, 3, stride=2, padding=1)
        self.ln, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8, bias=False)
        self.rms, self.fc, self.fc2, self.fc3 = RMS(8), nn.Linear(8, 12), nn.Linear(12, 8), nn.Linear(12, 8)
        self.up, self.mix = nn.ConvTranspose1d(8, 8, 4, 2, 1), nn.Conv1d(16, 8, 1)
        self.last = nn.Conv1d(8, 2, 3, padding=1)
        self.pos = nn.Parameter(0.3 * torch.randn(1, 4, 8))

    def forward(self, sample, timestep, label, cond):
        e = self.time(timestep) + self.label(label) + self.cond(cond)
        first = self.enter(sample)
        scale, shift = self.film(F.silu(e))[:, :, None].chunk(2, 1)
        h = F.mish(self.norm(first)) * (1 + scale) + shift
        x = self.down(h).transpose(1, 2) + self.pos
        parts = self.qkv(self.ln(x)).chunk(3, -1)
        q, k, v = [part.reshape(1, 4, 2, 4).transpose(1, 2) for part in parts]
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, 4, 8))
        y = self.fc(self.rms(x))
        x = x + self.fc2(F.gelu(y)) + self.fc3(F.gelu(y, approximate="tanh"))
        up = self.up(x.transpose(1, 2))
        return self.last(F.silu(self.mix(torch.cat([up, first], 1))))


class Image(nn.Module):
    """GroupNorm, SiLU, a stride, attention by einsum, nearest resampling, a pooling, a scaled sum."""

    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(Time(8), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 4))
        self.enter, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.down, self.g = nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8)
        self.q, self.k, self.v, self.o = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.up, self.last = nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, sample, timestep):
        e = self.time(timestep)[:, :, None, None]
        first = self.enter(sample)
        d = self.down(F.silu(self.norm(first) + e))
        x = self.g(d).reshape(1, 8, 16).transpose(1, 2)
        w = torch.softmax(torch.einsum("bid,bjd->bij", self.q(x), self.k(x)) * 8**-0.5, -1)
        d = d + self.o(torch.einsum("bij,bjd->bid", w, self.v(x))).transpose(1, 2).reshape(1, 8, 4, 4)
        u = (self.up(F.interpolate(d, scale_factor=2, mode="nearest")) + first) / 2**0.5
        return self.last(F.relu(u) - F.interpolate(F.avg_pool2d(first, 2), scale_factor=2.0))


def strip(file):
    """Without what the exporter notes of the source code."""
    model = onnx.load(file, load_external_data=False)
    for node in model.graph.node:
        kept = [p for p in node.metadata_props if p.key.endswith(("name_scopes", "class_hierarchy"))]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    others = [model, model.graph, *model.graph.value_info, *model.graph.input, *model.graph.output]
    for other in [*others, *model.graph.initializer]:
        del other.metadata_props[:]
    onnx.save(model, file)


def write(folder, net, args, names, manifest, opset, more):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    net.eval()
    os.makedirs(folder + "/scheduler", exist_ok=True)
    new, old = folder + "/net.onnx", folder + "/script.onnx"
    torch.onnx.export(net, args, new, input_names=names, dynamo=True, verbose=False, external_data="cond" in names)
    torch.onnx.export(net, args, old, input_names=names, dynamo=False, opset_version=opset)
    strip(new)
    strip(old)
    scheduler = {"_class_name": "DDPMScheduler", "beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001,
                 "clip_sample": False, "num_train_timesteps": 1000, "prediction_type": "epsilon"}
    json.dump(manifest, open(folder + "/mote.json", "w"))
    json.dump(scheduler, open(folder + "/scheduler/scheduler_config.json", "w"))
    net = net.double()
    net.time[0].dtype = torch.float64
    x, t, out = torch.randn(5, *args[0].shape[1:]), torch.tensor([0, 1, 250, 500, 999]), []
    for i in range(5):
        given = [x[i : i + 1].double(), t[i : i + 1]]
        if more:
            given += [more["labels"][i : i + 1], more["cond"][i : i + 1].double()]
        with torch.no_grad():
            out.append(net(*given))
    vectors = {"fwd.x": x, "fwd.t": t.float(), "fwd.out_f64_pure": torch.cat(out), **more}
    save_file({key: value.contiguous() for key, value in vectors.items()}, folder + "/vectors.safetensors")


torch.manual_seed(5)
write(
    sys.argv[1] + "/signal",
    Signal(),
    (torch.randn(1, 2, 8), torch.tensor([7]), torch.tensor([1]), torch.randn(1, 3)),
    ["sample", "timestep", "label", "cond"],
    {"format": 1, "inputs": {"sample": "sample", "timestep": "timestep", "label": "class", "cond": "condition"},
     "layout": "(channel, time)", "condition": {"range": [-3.0, 3.0]}, "null_class": 3},
    17,
    {"labels": torch.tensor([0, 1, 2, 3, 0]), "cond": torch.randn(5, 3)},
)
write(
    sys.argv[1] + "/image",
    Image(),
    (torch.randn(1, 1, 8, 8), torch.tensor([7])),
    ["sample", "timestep"],
    {"format": 1, "inputs": {"sample": "sample", "timestep": "timestep"}},
    13,
    {},
)
