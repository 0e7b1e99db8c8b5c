"""Writes the network of this folder: python make.py FOLDER, with torch and safetensors (PyTorch 2.15).

A network on a signal with functions of the timestep that are no lines and sines: a table by step, a logarithm, powers, a sine of a linear
layer, features that are scaled. Around them what other code bases have: weights of a direction and a length, a causal mask and one over
conditions, gated units, slopes by channel, means over all positions, replicated and reflected borders, aligned corners, every second position,
taps that lie far apart, a mean of two values with a weight, three vectors joined.
"""

import copy
import json
import sys
import zipfile

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

WIDTH, LENGTH, STEPS = 4, 16, 50


class Features(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.randn(STEPS, 3))
        self.rates, self.siren = nn.Parameter(torch.randn(1, 3)), nn.Linear(1, 3)
        self.sizes, self.join = nn.Embedding(STEPS, 2), nn.Linear(3 + 3 + 6 + 2 + 2, WIDTH)

    def forward(self, t, dtype):
        time = t.to(dtype)[:, None] / STEPS
        waves = (time @ self.rates).sin() * 1.5
        level = torch.log(time + 0.01) / 4
        powers = torch.cat([0.25 / (time**2 + 0.25).sqrt(), 25.0**-time, level], 1)
        angles = level.flatten().ger(torch.tensor([3.0, 0.5], dtype=dtype)) + 0.2
        rest = torch.cat([torch.cos(angles), -angles, F.silu(angles)], 1)
        more = torch.cat([self.sizes(t), torch.sin(self.siren(time))[:, :2]], 1)
        return self.join(torch.cat([self.table[t] + powers, waves, rest, more], 1)), level


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        norm = torch.nn.utils.parametrizations.weight_norm
        self.time, self.first = Features(), norm(nn.Conv1d(2, WIDTH, 3, padding=1, padding_mode="replicate"))
        self.gate, self.far = norm(nn.Conv1d(WIDTH, 2 * WIDTH, 1)), nn.Conv1d(WIDTH, WIDTH, 3, padding=8, dilation=8)
        self.qkv, self.q, self.kv = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(3, 2 * WIDTH)
        self.slopes, self.join = nn.PReLU(WIDTH), nn.Linear(WIDTH + WIDTH + 6, WIDTH)
        self.image, self.last = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, padding_mode="reflect"), nn.Conv1d(WIDTH, 2, 1)
        mask = torch.full((LENGTH, 2), 0.0)
        mask[:5, 1] = float("-inf")
        self.register_buffer("mask", mask)

    def attend(self, q, k, v, **mask):
        q, k, v = [part.reshape(1, -1, 2, WIDTH // 2).transpose(1, 2) for part in (q, k, v)]
        return F.scaled_dot_product_attention(q, k, v, **mask).transpose(1, 2).reshape(1, -1, WIDTH)

    def forward(self, x, t, cond):
        time, level = self.time(t, x.dtype)
        h = F.glu(self.gate(self.first(x)), dim=1)
        h = h + self.far(h)
        vector = self.join(torch.cat([time, h.unflatten(2, (4, 4)).mean((2, 3)), cond.flatten(1)], 1))
        h = self.slopes(h + vector[:, :, None]) * level[:, :, None]
        tokens = h.transpose(1, 2)
        tokens = tokens + self.attend(*self.qkv(tokens).chunk(3, -1), is_causal=True)
        tokens = tokens + self.attend(self.q(tokens), *self.kv(cond).chunk(2, -1), attn_mask=self.mask)
        h = tokens.transpose(1, 2).unflatten(2, (4, 4))
        h = h * torch.sigmoid(F.adaptive_avg_pool2d(h, 1))
        small = F.interpolate(self.image(h), scale_factor=0.5, mode="nearest")
        h = torch.lerp(h, F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=True), 0.3)
        return self.last(h.flatten(2))


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
    torch.manual_seed(6)
    net = Layers().eval()
    for tensor in net.parameters():
        if tensor.ndim == 1:
            tensor.data += 0.2 * torch.randn(tensor.shape)
    x, times, cond = torch.randn(3, 2, LENGTH), torch.tensor([0, 7, STEPS - 1]), torch.rand(3, 2, 3) * 2 - 1
    torch.export.save(torch.export.export(net, (x[:1], times[:1], cond[:1])), f"{folder}/net.pt2")
    plain(f"{folder}/net.pt2")
    wide = copy.deepcopy(net).double()
    with torch.no_grad():
        out = torch.cat([wide(x[i : i + 1].double(), times[i : i + 1], cond[i : i + 1].double()) for i in range(3)])
    vectors = {"fwd.x": x, "fwd.t": times, "cond": cond.flatten(1), "fwd.out_f64_pure": out}
    save_file(vectors, f"{folder}/vectors.safetensors")
    roles = {"x": "sample", "t": "timestep", "cond": "condition"}
    manifest = {"format": 1, "inputs": roles, "condition": {"range": [-1.0, 1.0]}, "layout": "(channel, time)"}
    with open(f"{folder}/mote.json", "w") as file:
        json.dump(manifest, file)
