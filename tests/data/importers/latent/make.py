"""A latent pipeline of random weights, and pictures of two latents by plain loops in f64. Python's standard library alone.

    python3 make.py
"""

import json
import math
import random
import struct
from pathlib import Path

HERE = Path(__file__).parent
random.seed(20261130)


def half(value):
    """The nearest f16."""
    return struct.unpack("<e", struct.pack("<e", value))[0]


def drawn(shape, spread):
    """Normal numbers, each an f16."""
    return shape, [half(random.gauss(0, spread)) for _ in range(math.prod(shape))]


def write(path, tensors, kind):
    """A safetensors file; `kind` is F16 or F64."""
    code, size = {"F16": ("e", 2), "F64": ("d", 8)}[kind]
    header, body = {}, b""
    for key in sorted(tensors):
        shape, values = tensors[key]
        data = struct.pack(f"<{len(values)}{code}", *values)
        header[key] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(body), len(body) + size * len(values)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def conv_of(tensors, name, out, ins, kernel=3, bias=True):
    tensors[f"{name}.weight"] = drawn((out, ins, kernel, kernel), 1 / math.sqrt(ins * kernel * kernel))
    if bias:
        tensors[f"{name}.bias"] = drawn((out,), 0.1)


def unet():
    tensors = {}
    conv_of(tensors, "conv_in", 4, 4)
    conv_of(tensors, "conv_out", 4, 4)
    for name, ins in [("down_blocks.0.resnets.0", 4), ("up_blocks.0.resnets.0", 8), ("up_blocks.0.resnets.1", 8)]:
        conv_of(tensors, f"{name}.conv1", 4, ins)
        conv_of(tensors, f"{name}.conv2", 4, 4)
        if ins != 4:
            conv_of(tensors, f"{name}.conv_shortcut", 4, ins, 1)
        for norm, width in [("norm1", ins), ("norm2", 4)]:
            tensors[f"{name}.{norm}.weight"] = (width,), [half(1 + random.gauss(0, 0.1)) for _ in range(width)]
            tensors[f"{name}.{norm}.bias"] = drawn((width,), 0.1)
        tensors[f"{name}.time_emb_proj.weight"] = drawn((4, 16), 0.2)
        tensors[f"{name}.time_emb_proj.bias"] = drawn((4,), 0.1)
    tensors["conv_norm_out.weight"] = (4,), [1.0] * 4
    tensors["conv_norm_out.bias"] = (4,), [0.0] * 4
    for name, ins in [("linear_1", 4), ("linear_2", 16)]:
        tensors[f"time_embedding.{name}.weight"] = drawn((16, ins), 0.3)
        tensors[f"time_embedding.{name}.bias"] = drawn((16,), 0.1)
    config = {
        "_class_name": "UNet2DModel", "block_out_channels": [4], "down_block_types": ["DownBlock2D"], "in_channels": 4,
        "layers_per_block": 1, "mid_block_type": None, "norm_num_groups": 2, "out_channels": 4, "sample_size": 4,
        "up_block_types": ["UpBlock2D"],
    }
    return config, tensors


WIDTH, LEVELS = 8, 3


def vae():
    tensors = {}
    conv_of(tensors, "encoder.layers.0", 4, 3, 1)
    conv_of(tensors, "decoder.layers.0", WIDTH, 4)
    layer = 2
    for level in range(LEVELS):
        for part in (0, 2, 4):
            conv_of(tensors, f"decoder.layers.{layer}.conv.{part}", WIDTH, WIDTH)
        last = level + 1 == LEVELS
        layer += 1 if last else 2
        conv_of(tensors, f"decoder.layers.{layer}", 3 if last else WIDTH, WIDTH, 3, last)
        layer += 1
    config = {
        "_class_name": "AutoencoderTiny", "act_fn": "relu", "decoder_block_out_channels": [WIDTH] * LEVELS,
        "encoder_block_out_channels": [WIDTH] * LEVELS, "force_upcast": False, "in_channels": 3, "latent_channels": 4,
        "latent_magnitude": 3, "latent_shift": 0.5, "num_decoder_blocks": [1] * LEVELS, "num_encoder_blocks": [1] * LEVELS,
        "out_channels": 3, "scaling_factor": 0.5, "shift_factor": 0.25, "upsampling_scaling_factor": 2,
    }
    return config, tensors


def conv(tensors, name, x):
    (outs, ins, k, _), w = tensors[f"{name}.weight"]
    bias = tensors.get(f"{name}.bias", (None, [0.0] * outs))[1]
    rows, cols, pad = len(x[0]), len(x[0][0]), k // 2
    y = []
    for o in range(outs):
        plane = [[bias[o]] * cols for _ in range(rows)]
        for r in range(rows):
            for c in range(cols):
                for i in range(ins):
                    for a in range(k):
                        for b in range(k):
                            u, v = r + a - pad, c + b - pad
                            if 0 <= u < rows and 0 <= v < cols:
                                plane[r][c] += w[((o * ins + i) * k + a) * k + b] * x[i][u][v]
        y.append(plane)
    return y


def each(f, *x):
    return [[[f(*v) for v in zip(*rows)] for rows in zip(*planes)] for planes in zip(*x)]


def relu(x):
    return each(lambda v: max(v, 0.0), x)


def doubled(x):
    return [[[v for v in row for _ in range(2)] for row in plane for _ in range(2)] for plane in x]


def decoded(config, tensors, latent):
    """`AutoencoderTiny.decode(latent / scaling_factor + shift_factor)`."""
    x = each(lambda v: v / config["scaling_factor"] + config["shift_factor"], latent)
    x = each(lambda v: math.tanh(v / 3) * 3, x)
    x = relu(conv(tensors, "decoder.layers.0", x))
    layer = 2
    for level in range(LEVELS):
        h, name = x, f"decoder.layers.{layer}.conv"
        h = relu(conv(tensors, f"{name}.0", h))
        h = relu(conv(tensors, f"{name}.2", h))
        h = conv(tensors, f"{name}.4", h)
        x = relu(each(lambda a, b: a + b, h, x))
        layer += 1
        if level + 1 < LEVELS:
            x = doubled(x)
            layer += 1
        x = conv(tensors, f"decoder.layers.{layer}", x)
        layer += 1
    return each(lambda v: 2 * v - 1, x)


KL_WIDTHS, KL_LATENT, KL_SIDE, KL_GROUPS = [4, 8], 2, 3, 2


def norm_of(tensors, name, width):
    tensors[f"{name}.weight"] = (width,), [half(1 + random.gauss(0, 0.1)) for _ in range(width)]
    tensors[f"{name}.bias"] = drawn((width,), 0.1)


def resnet_of(tensors, name, out, ins):
    for part, width, wide in [("1", ins, ins), ("2", out, out)]:
        norm_of(tensors, f"{name}.norm{part}", width)
        conv_of(tensors, f"{name}.conv{part}", out, wide)
    if ins != out:
        conv_of(tensors, f"{name}.conv_shortcut", out, ins, 1)


def kl():
    tensors, top = {}, KL_WIDTHS[-1]
    conv_of(tensors, "quant_conv", 4, 4, 1)
    conv_of(tensors, "post_quant_conv", KL_LATENT, KL_LATENT, 1)
    conv_of(tensors, "decoder.conv_in", top, KL_LATENT)
    for j in (0, 1):
        resnet_of(tensors, f"decoder.mid_block.resnets.{j}", top, top)
    attention = "decoder.mid_block.attentions.0"
    norm_of(tensors, f"{attention}.group_norm", top)
    for layer in ("to_q", "to_k", "to_v", "to_out.0"):
        tensors[f"{attention}.{layer}.weight"] = drawn((top, top), 0.4)
        tensors[f"{attention}.{layer}.bias"] = drawn((top,), 0.1)
    ins = top
    for level, width in enumerate(reversed(KL_WIDTHS)):
        for j in (0, 1):
            resnet_of(tensors, f"decoder.up_blocks.{level}.resnets.{j}", width, ins)
            ins = width
        if level + 1 < len(KL_WIDTHS):
            conv_of(tensors, f"decoder.up_blocks.{level}.upsamplers.0.conv", width, width)
    norm_of(tensors, "decoder.conv_norm_out", ins)
    conv_of(tensors, "decoder.conv_out", 3, ins)
    config = {
        "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": KL_WIDTHS, "down_block_types": ["DownEncoderBlock2D"] * 2,
        "in_channels": 3, "latent_channels": KL_LATENT, "layers_per_block": 1, "norm_num_groups": KL_GROUPS, "out_channels": 3,
        "sample_size": 6, "scaling_factor": 0.25, "shift_factor": None, "up_block_types": ["UpDecoderBlock2D"] * 2,
    }
    return config, tensors


def norm(tensors, name, x):
    gamma, beta = tensors[f"{name}.weight"][1], tensors[f"{name}.bias"][1]
    each_group, y = len(x) // KL_GROUPS, []
    for g in range(KL_GROUPS):
        planes = x[g * each_group:(g + 1) * each_group]
        values = [v for plane in planes for row in plane for v in row]
        mean = sum(values) / len(values)
        scale = 1 / math.sqrt(sum((v - mean) ** 2 for v in values) / len(values) + 1e-6)
        for i, plane in enumerate(planes):
            c = g * each_group + i
            y.append([[(v - mean) * scale * gamma[c] + beta[c] for v in row] for row in plane])
    return y


def silu(x):
    return each(lambda v: v / (1 + math.exp(-v)), x)


def resnet(tensors, name, x):
    h = conv(tensors, f"{name}.conv1", silu(norm(tensors, f"{name}.norm1", x)))
    h = conv(tensors, f"{name}.conv2", silu(norm(tensors, f"{name}.norm2", h)))
    if f"{name}.conv_shortcut.weight" in tensors:
        x = conv(tensors, f"{name}.conv_shortcut", x)
    return each(lambda a, b: a + b, x, h)


def attended(tensors, name, x):
    width, rows, cols = len(x), len(x[0]), len(x[0][0])
    h = norm(tensors, f"{name}.group_norm", x)
    points = [[h[c][r][k] for c in range(width)] for r in range(rows) for k in range(cols)]

    def layer(part, v):
        w, b = tensors[f"{name}.{part}.weight"][1], tensors[f"{name}.{part}.bias"][1]
        return [b[o] + sum(w[o * width + i] * v[i] for i in range(width)) for o in range(width)]

    q, k, v = ([layer(part, point) for point in points] for part in ("to_q", "to_k", "to_v"))
    out = []
    for query in q:
        scores = [sum(a * b for a, b in zip(query, key)) / math.sqrt(width) for key in k]
        weights = [math.exp(score - max(scores)) for score in scores]
        total = sum(weights)
        mixed = [sum(w * value[c] for w, value in zip(weights, v)) / total for c in range(width)]
        out.append(layer("to_out.0", mixed))
    return [[[x[c][r][k] + out[r * cols + k][c] for k in range(cols)] for r in range(rows)] for c in range(width)]


def decoded_kl(config, tensors, latent):
    """`AutoencoderKL.decode(latent / scaling_factor)`."""
    x = each(lambda v: v / config["scaling_factor"], latent)
    x = conv(tensors, "decoder.conv_in", conv(tensors, "post_quant_conv", x))
    x = resnet(tensors, "decoder.mid_block.resnets.0", x)
    x = attended(tensors, "decoder.mid_block.attentions.0", x)
    x = resnet(tensors, "decoder.mid_block.resnets.1", x)
    for level in range(len(KL_WIDTHS)):
        for j in (0, 1):
            x = resnet(tensors, f"decoder.up_blocks.{level}.resnets.{j}", x)
        if level + 1 < len(KL_WIDTHS):
            x = conv(tensors, f"decoder.up_blocks.{level}.upsamplers.0.conv", doubled(x))
    return conv(tensors, "decoder.conv_out", silu(norm(tensors, "decoder.conv_norm_out", x)))


def main():
    for folder, (config, tensors) in {"unet": unet(), "vae": vae()}.items():
        write(HERE / folder / "diffusion_pytorch_model.safetensors", tensors, "F16")
        (HERE / folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        if folder == "vae":
            latents = [[[[random.gauss(0, 1) for _ in range(4)] for _ in range(4)] for _ in range(4)] for _ in range(2)]
            flat = lambda x: [v for sample in x for plane in sample for row in plane for v in row]
            pictures = [decoded(config, tensors, latent) for latent in latents]
            write(HERE / "vectors.safetensors",
                  {"latents": ((2, 4, 4, 4), flat(latents)), "pictures": ((2, 3, 16, 16), flat(pictures))}, "F64")
    config, tensors = kl()
    write(HERE / "kl" / "diffusion_pytorch_model.safetensors", tensors, "F16")
    (HERE / "kl" / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    latent = [[[random.gauss(0, 0.25) for _ in range(KL_SIDE)] for _ in range(KL_SIDE)] for _ in range(KL_LATENT)]
    picture = decoded_kl(config, tensors, latent)
    flat = lambda x: [v for plane in x for row in plane for v in row]
    write(HERE / "kl" / "vectors.safetensors",
          {"latents": ((1, KL_LATENT, KL_SIDE, KL_SIDE), flat(latent)), "pictures": ((1, 3, 6, 6), flat(picture))}, "F64")
    (HERE / "scheduler").mkdir(exist_ok=True)
    scheduler = {
        "_class_name": "DDIMScheduler", "beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001, "clip_sample": False,
        "num_train_timesteps": 1000, "prediction_type": "epsilon", "set_alpha_to_one": True, "steps_offset": 0,
    }
    (HERE / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=1) + "\n")
    index = {
        "_class_name": "LDMPipeline", "scheduler": ["diffusers", "DDIMScheduler"], "unet": ["diffusers", "UNet2DModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    (HERE / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")


main()
