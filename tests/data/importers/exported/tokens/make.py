"""Writes the network of this folder: python make.py FOLDER, with torch and safetensors (PyTorch 2.15).

A transformer on an image as later code bases write it: the label and zeros (self-conditioning that is not there) joined to the image, weights
standardized on the way, a token of the timestep before the patches, queries and keys that are normalized and turned by a rotary embedding in
halves and in pairs, a norm over all axes, positions cut off at the end, a bilinear resampling. `latent/` has a decoder of what it makes.
"""

import copy
import json
import math
import sys
import zipfile

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

WIDTH, HEADS, SIDE = 8, 2, 4


class Attention(nn.Module):
    def __init__(self, tokens, pairs):
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.gain, self.pairs = nn.Parameter(1 + 0.3 * torch.randn(WIDTH // HEADS)), pairs
        rates = 1 / 100 ** (torch.arange(0, WIDTH // HEADS, 2) / (WIDTH // HEADS))
        angles = torch.outer(torch.arange(tokens, dtype=torch.float32), rates)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def turned(self, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.gain
        if self.pairs:
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack([a * self.cos - b * self.sin, a * self.sin + b * self.cos], -1).flatten(-2)
        a, b = x.chunk(2, -1)
        return x * self.cos.repeat(1, 2) + torch.cat([-b, a], -1) * self.sin.repeat(1, 2)

    def forward(self, x):
        q, k, v = self.qkv(x).reshape(1, x.shape[1], 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v)
        return self.out(x.transpose(1, 2).reshape(1, -1, WIDTH))


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        tokens = (SIDE // 2) ** 2 + 1
        self.patch, self.time = nn.Conv2d(1 + 1 + 3, WIDTH, 2, 2), nn.Linear(4, WIDTH)
        self.halves, self.pairs = Attention(tokens, False), Attention(tokens, True)
        self.norm, self.back = nn.LayerNorm((WIDTH, tokens)), nn.Linear(WIDTH, 4)
        self.last = nn.Conv2d(1, 1, 3, padding=1)
        self.register_buffer("rates", torch.tensor([0.3, 0.02]))

    def forward(self, x, t, label):
        label = F.one_hot(label, num_classes=3).to(x.dtype)[:, :, None, None].expand(1, 3, SIDE, SIDE)
        w = self.patch.weight
        mean, variance = w.mean(dim=(1, 2, 3), keepdim=True), w.var(dim=(1, 2, 3), unbiased=False, keepdim=True)
        h = F.conv2d(torch.cat([torch.zeros_like(x), x, label], 1), (w - mean) * (variance + 1e-5).rsqrt(), self.patch.bias, 2)
        angles = t.to(x.dtype)[:, None] * self.rates[None]
        time = self.time(torch.cat([angles.sin(), angles.cos()], -1))
        h = torch.cat([time[:, None], h.flatten(2).transpose(1, 2)], 1)
        h = h + self.halves(h)
        h = self.norm((h + self.pairs(h)).transpose(1, 2)).transpose(1, 2)
        h = self.back(h)[:, 1:]
        h = h.reshape(1, SIDE // 2, SIDE // 2, 2, 2, 1).permute(0, 5, 1, 3, 2, 4).reshape(1, 1, SIDE, SIDE)
        h = F.interpolate(F.avg_pool2d(h, 2), scale_factor=2, mode="bilinear", align_corners=False) + h
        return self.last(h)


class Decoder(nn.Module):
    """A picture of twice the extents from what the network makes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, z):
        return torch.tanh(self.b(F.interpolate(F.relu(self.a(z)), scale_factor=2)))


def plain(path):
    """The archive without the traces that say where this file lies."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if "sample_inputs" not in name}
    for name in files:
        if name.endswith("model.json"):
            program = json.loads(files[name])
            for node in program["graph_module"]["graph"]["nodes"]:
                node["metadata"] = {key: value for key, value in node["metadata"].items() if key == "nn_module_stack"}
            files[name] = json.dumps(program, separators=(",", ":")).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)


if __name__ == "__main__":
    folder = sys.argv[1]
    torch.manual_seed(5)
    net = Layers().eval()
    for name, tensor in net.named_parameters():
        if tensor.ndim == 1 or "norm" in name:
            tensor.data += 0.2 * torch.randn(tensor.shape)
    x, times, labels = torch.randn(3, 1, SIDE, SIDE), torch.tensor([0, 40, 999]), torch.tensor([0, 1, 2])
    torch.export.save(torch.export.export(net, (x[:1], times[:1], labels[:1])), f"{folder}/net.pt2")
    plain(f"{folder}/net.pt2")
    wide = copy.deepcopy(net).double()
    with torch.no_grad():
        out = torch.cat([wide(x[i : i + 1].double(), times[i : i + 1], labels[i : i + 1]) for i in range(3)])
    decoder = Decoder().eval()
    torch.export.save(torch.export.export(decoder, (x[:1],)), f"{folder}/latent/decoder.pt2")
    plain(f"{folder}/latent/decoder.pt2")
    with torch.no_grad():
        pictures = copy.deepcopy(decoder).double()(x.double())
    save_file({"latent": x.double(), "picture": pictures}, f"{folder}/latent/vectors.safetensors")
    vectors = {"fwd.x": x, "fwd.t": times, "fwd.labels": labels, "fwd.out_f64_pure": out}
    save_file(vectors, f"{folder}/vectors.safetensors")
    manifest = {"format": 1, "inputs": {"x": "sample", "t": "timestep", "label": "class"}, "layout": "(channel, row, col)"}
    with open(f"{folder}/mote.json", "w") as file:
        json.dump(manifest, file)
