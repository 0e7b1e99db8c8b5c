"""Random checkpoints of diffusers' classes with PyTorch's references, for `mote crosscheck`.

    python tests/crosscheck/random_checkpoints.py OUT --kind unet2d --count 30 [--first 0] [--export] [--features f64]
    for d in OUT/*; do mote crosscheck "$d" "$d/vectors.safetensors"; mote convert "$d" --scheme w8a8 -o "$d.mote"; done

Needs torch, diffusers and safetensors; no test runs it. Every configuration follows from its number. No weight is zero and no gain is 1,
so that nothing that is wrong stays unseen. `--export` writes `net.pt2` and `mote.json` in place of weights. `--features f64` has the
timestep's features computed in f64 for the reference in f64, where the library computes them in f32.
"""
import argparse
import contextlib
import copy
import json
import math
import os
import random
import shutil

import torch
from diffusers import DDIMScheduler, DiTTransformer2DModel, UNet1DModel, UNet2DModel
from diffusers.models import embeddings
from safetensors.torch import save_file

CUBIC = [-0.01171875, -0.03515625, 0.11328125, 0.43359375, 0.43359375, 0.11328125, -0.03515625, -0.01171875]


def unet2d(r):
    levels = r.choice([1, 2, 2, 3])
    side, groups = 1 << (levels - 1), r.choice([1, 2, 3, 4])
    widths = tuple(groups * r.randint(max(1, 4 // groups), max(2, 24 // groups)) for _ in range(levels))
    head = r.choice([None, 1, 2, 4, 8])
    channels = r.choice([1, 2, 3])
    config = dict(
        sample_size=(side * r.randint(2, max(2, 10 // side)), side * r.randint(2, max(2, 10 // side))),
        in_channels=channels, out_channels=channels, block_out_channels=widths, layers_per_block=r.choice([1, 2, 3]),
        down_block_types=tuple(r.choice(["DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"]) for _ in widths),
        up_block_types=tuple(r.choice(["UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"]) for _ in widths),
        center_input_sample=r.random() < 0.3, freq_shift=r.choice([0, 1]), flip_sin_to_cos=r.random() < 0.5,
        mid_block_scale_factor=r.choice([1, 1.4142135, 0.5]), downsample_padding=r.choice([0, 1]),
        downsample_type=r.choice(["conv", "resnet"]), upsample_type=r.choice(["conv", "resnet"]),
        attention_head_dim=head if head is None or head <= min(widths) else None, norm_num_groups=groups,
        norm_eps=r.choice([1e-5, 1e-6]), resnet_time_scale_shift=r.choice(["default", "scale_shift"]),
        add_attention=r.random() < 0.6, num_class_embeds=r.choice([None, 5]),
    )
    return UNet2DModel(**config), "unet", (channels, *config["sample_size"]), config["num_class_embeds"]


def unet1d(r):
    channels, levels = r.choice([1, 2, 3]), r.choice([2, 3])
    widths = tuple([r.choice([6, 8, 12]) for _ in range(levels - 1)] + [32])
    config = dict(
        sample_size=(1 << levels) * r.randint(3, 5), in_channels=channels, out_channels=channels, extra_in_channels=2 * widths[0],
        block_out_channels=widths, flip_sin_to_cos=r.random() < 0.5,
        down_block_types=("DownBlock1DNoSkip", *["DownBlock1D"] * (levels - 2), r.choice(["DownBlock1D", "AttnDownBlock1D"])),
        up_block_types=(*["UpBlock1D"] * (levels - 1), "UpBlock1DNoSkip"),
    )
    return UNet1DModel(**config), "unet", (channels, config["sample_size"]), None


def dit(r):
    heads, depth = r.choice([(1, 8), (2, 8), (3, 4), (2, 16)])
    patch, channels = r.choice([1, 2, 4]), r.choice([1, 3])
    side = patch * r.randint(2, 4)
    config = dict(
        num_attention_heads=heads, attention_head_dim=depth, in_channels=channels, out_channels=channels, num_layers=r.choice([1, 2, 3]),
        sample_size=side, patch_size=patch, activation_fn=r.choice(["gelu-approximate", "gelu"]), num_embeds_ada_norm=7,
        attention_bias=r.random() < 0.7, norm_type="ada_norm_zero", norm_elementwise_affine=False,
    )
    return DiTTransformer2DModel(**config), "transformer", (channels, side, side), 7


def randomize(net, seed):
    drawn = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if name.endswith("kernel"):
            tensor.copy_(torch.tensor(CUBIC) * (2 if ".up." in name else 1))
        elif name == "time_proj.weight":
            tensor.copy_(torch.randn(tensor.shape, generator=drawn) * 0.01)
        elif tensor.ndim > 1:
            tensor.copy_(torch.randn(tensor.shape, generator=drawn) / math.sqrt(tensor[0].numel()))
        else:
            gain = 1.0 if name.endswith("weight") else 0.0
            tensor.copy_(gain + 0.2 * torch.randn(tensor.shape, generator=drawn))
    return net.eval()


@contextlib.contextmanager
def features_in_f64():
    own = embeddings.get_timestep_embedding

    def wide(timesteps, embedding_dim, flip_sin_to_cos=False, downscale_freq_shift=1, scale=1, max_period=10000):
        half = embedding_dim // 2
        rates = torch.exp(-math.log(max_period) * torch.arange(half, dtype=torch.float64) / (half - downscale_freq_shift))
        angles = scale * timesteps[:, None].double() * rates[None]
        parts = [torch.cos(angles), torch.sin(angles)] if flip_sin_to_cos else [torch.sin(angles), torch.cos(angles)]
        return torch.nn.functional.pad(torch.cat(parts, -1), (0, embedding_dim % 2))

    embeddings.get_timestep_embedding = wide
    try:
        yield
    finally:
        embeddings.get_timestep_embedding = own


def passes(net, x, times, labels):
    given = [{"class_labels": labels[i : i + 1]} if labels is not None else {} for i in range(len(x))]
    return torch.cat([net(x[i : i + 1], times[i : i + 1], **given[i], return_dict=False)[0] for i in range(len(x))])


def write(folder, number, options):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    net, part, shape, classes = {"unet2d": unet2d, "unet1d": unet1d, "dit": dit}[options.kind](random.Random(number))
    randomize(net, number)
    DDIMScheduler(clip_sample=False).save_pretrained(f"{folder}/scheduler")
    drawn = torch.Generator().manual_seed(number + 1)
    x, times = torch.randn((5, *shape), generator=drawn), torch.tensor([0, 1, 250, 500, 999])
    labels = torch.arange(5) % classes if classes else None
    if options.export:
        name = "hidden_states" if options.kind == "dit" else "sample"
        inputs = {name: "sample", "timestep": "timestep"} | ({"class_labels": "class"} if classes else {})
        given = {"timestep": times[:1]} | ({"class_labels": labels[:1]} if classes else {})
        torch.export.save(torch.export.export(net, (x[:1],), given), f"{folder}/net.pt2")
        layout = "(channel, time)" if len(shape) == 2 else "(channel, row, col)"
        with open(f"{folder}/mote.json", "w") as file:
            json.dump({"format": 1, "inputs": inputs, "layout": layout}, file)
    else:
        net.save_pretrained(f"{folder}/{part}")
    vectors = {"fwd.x": x, "fwd.t": times, "fwd.out": passes(net, x, times, labels)}
    with features_in_f64() if options.features == "f64" else contextlib.nullcontext():
        vectors["fwd.out_f64_pure"] = passes(copy.deepcopy(net).double(), x.double(), times, labels)
    if labels is not None:
        vectors["fwd.labels"] = labels
    save_file({key: value.contiguous() for key, value in vectors.items()}, f"{folder}/vectors.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--kind", choices=["unet2d", "unet1d", "dit"], default="unet2d")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--features", choices=["own", "f64"], default="own")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    for number in range(options.first, options.first + options.count):
        write(os.path.join(options.out, f"{options.kind}-{number:03d}"), number, options)
