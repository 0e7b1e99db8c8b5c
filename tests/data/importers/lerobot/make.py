"""A policy of random weights in LeRobot's folder, and its network's outputs by PyTorch 2.15 in f64.

    python make.py          # needs torch, numpy, safetensors

The network is written here after Chi et al. 2023 and LeRobot's names of weights: a level ends in a plain convolution, and the last block has 8
groups whatever `n_groups` says.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
ACTION, STATE, ENVIRONMENT, HORIZON, WIDTH, DIMS, GROUPS, KERNEL = 2, 2, 1, 8, 8, (8, 16), 4, 3
OBSERVATIONS = 2


class Unit(nn.Module):
    def __init__(self, ins, out, groups=8):
        super().__init__()
        self.block = nn.Sequential(nn.Conv1d(ins, out, KERNEL, padding=KERNEL // 2), nn.GroupNorm(groups, out), nn.Mish())

    def forward(self, x):
        return self.block(x)


class Residual(nn.Module):
    def __init__(self, ins, out, told):
        super().__init__()
        self.conv1, self.conv2 = Unit(ins, out, GROUPS), Unit(out, out, GROUPS)
        self.cond_encoder = nn.Sequential(nn.Mish(), nn.Linear(told, 2 * out))
        self.residual_conv = nn.Conv1d(ins, out, 1) if ins != out else nn.Identity()

    def forward(self, x, told):
        scale, shift = self.cond_encoder(told).unsqueeze(-1).chunk(2, dim=1)
        return self.conv2(scale * self.conv1(x) + shift) + self.residual_conv(x)


class Features(nn.Module):
    def forward(self, t):
        half = WIDTH // 2
        rates = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        angles = t.float().unsqueeze(-1) * rates
        return torch.cat((angles.sin(), angles.cos()), -1).to(t.dtype)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        told = WIDTH + OBSERVATIONS * (STATE + ENVIRONMENT)
        a, b = DIMS
        self.diffusion_step_encoder = nn.Sequential(Features(), nn.Linear(WIDTH, 4 * WIDTH), nn.Mish(), nn.Linear(4 * WIDTH, WIDTH))
        self.down_modules = nn.ModuleList([
            nn.ModuleList([Residual(ACTION, a, told), Residual(a, a, told), nn.Conv1d(a, a, 3, 2, 1)]),
            nn.ModuleList([Residual(a, b, told), Residual(b, b, told), nn.Identity()]),
        ])
        self.mid_modules = nn.ModuleList([Residual(b, b, told), Residual(b, b, told)])
        self.up_modules = nn.ModuleList([
            nn.ModuleList([Residual(2 * b, a, told), Residual(a, a, told), nn.ConvTranspose1d(a, a, 4, 2, 1)]),
        ])
        self.final_conv = nn.Sequential(Unit(a, a), nn.Conv1d(a, ACTION, 1))

    def forward(self, x, t, condition):
        told = torch.cat([self.diffusion_step_encoder(t), condition], -1)
        x, kept = x.transpose(1, 2), []
        for one, other, down in self.down_modules:
            kept.append(other(one(x, told), told))
            x = down(kept[-1])
        for block in self.mid_modules:
            x = block(x, told)
        for one, other, up in self.up_modules:
            x = up(other(one(torch.cat((x, kept.pop()), 1), told), told))
        return self.final_conv(x).transpose(1, 2)


def main():
    torch.manual_seed(20261130)
    torch.set_num_threads(1)
    network = Network()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 1:
                weight += 0.1 * torch.randn_like(weight)
            weight.copy_(weight.half())
    weights = {f"diffusion.unet.{name}": weight.half().contiguous() for name, weight in network.state_dict().items()}
    save_file(weights, HERE / "model.safetensors")
    config = {
        "type": "diffusion", "n_obs_steps": OBSERVATIONS, "n_action_steps": 4, "horizon": HORIZON, "num_inference_steps": 5,
        "input_features": {"observation.environment_state": {"type": "ENV", "shape": [ENVIRONMENT]}, "observation.state": {"type": "STATE", "shape": [STATE]}},
        "output_features": {"action": {"type": "ACTION", "shape": [ACTION]}},
        "normalization_mapping": {"STATE": "MIN_MAX", "ENV": "MEAN_STD", "ACTION": "MIN_MAX"},
        "down_dims": list(DIMS), "kernel_size": KERNEL, "n_groups": GROUPS, "diffusion_step_embed_dim": WIDTH, "use_film_scale_modulation": True,
        "noise_scheduler_type": "DDIM", "num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2", "beta_start": 0.0001, "beta_end": 0.02,
        "prediction_type": "epsilon", "clip_sample": True, "clip_sample_range": 1.0,
    }
    (HERE / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    ranges = {
        "observation.state": {"min": [-1.0, 2.0], "max": [1.0, 6.0], "mean": [0.0, 4.0], "std": [0.5, 1.0]},
        "observation.environment_state": {"min": [-4.0], "max": [4.0], "mean": [0.5], "std": [2.0]},
        "action": {"min": [-3.0, 0.0], "max": [1.0, 0.5], "mean": [-1.0, 0.25], "std": [1.0, 0.1]},
    }
    statistics = {f"{feature}.{key}": torch.tensor(numbers) for feature, found in ranges.items() for key, numbers in found.items()}
    for name, step in (("policy_preprocessor", "normalizer_processor"), ("policy_postprocessor", "unnormalizer_processor")):
        save_file(statistics, HERE / f"{step}.safetensors")
        (HERE / f"{name}.json").write_text(json.dumps({"name": name, "steps": [{"registry_name": step, "state_file": f"{step}.safetensors"}]}) + "\n")
    x, condition, t = torch.randn(3, HORIZON, ACTION), torch.rand(3, OBSERVATIONS * (STATE + ENVIRONMENT)) * 2 - 1, torch.tensor([0, 41, 99])
    with torch.no_grad():
        out = network.double()(x.double(), t.double(), condition.double())
    save_file({"fwd.x": x, "fwd.t": t.float(), "cond": condition, "fwd.out_f64_pure": out.contiguous()}, HERE / "vectors.safetensors")


if __name__ == "__main__":
    main()
