"""Runs of diffusers' `DDPMScheduler` whose steps differ from DDIM's, on the network of `tests/data/digits8-micro`, in f64.

    python make.py        # in this folder; diffusers 0.42.1, PyTorch 2.15

Every file holds the noise, that of every step, the timesteps and the last image of a run; its configuration lies beside it.
"""
import json
import math

import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.models import embeddings
from safetensors.torch import save_file

CASES = {
    "linspace": dict(timestep_spacing="linspace", variance_type="fixed_small", clip_sample=True),
    "trailing": dict(timestep_spacing="trailing", variance_type="fixed_small", clip_sample=False),
    "velocity": dict(timestep_spacing="linspace", variance_type="fixed_large", clip_sample=True, prediction_type="v_prediction"),
}
STEPS = 7


def features(timesteps, embedding_dim, flip_sin_to_cos=False, downscale_freq_shift=1, scale=1, max_period=10000):
    half = embedding_dim // 2
    rates = torch.exp(-math.log(max_period) * torch.arange(half, dtype=torch.float64) / (half - downscale_freq_shift))
    angles = scale * timesteps[:, None].double() * rates[None]
    parts = [torch.cos(angles), torch.sin(angles)] if flip_sin_to_cos else [torch.sin(angles), torch.cos(angles)]
    return torch.cat(parts, -1)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    embeddings.get_timestep_embedding = features
    net = UNet2DModel.from_pretrained("../../digits8-micro/unet").double().eval()
    for number, (name, settings) in enumerate(CASES.items()):
        scheduler = DDPMScheduler(**settings)
        betas = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
        scheduler.betas, scheduler.alphas, scheduler.alphas_cumprod = betas, 1 - betas, torch.cumprod(1 - betas, 0)
        scheduler.one = torch.tensor(1.0, dtype=torch.float64)
        scheduler.set_timesteps(STEPS)
        drawn = torch.Generator().manual_seed(number)
        x = noise = torch.randn((1, 1, 8, 8), generator=drawn, dtype=torch.float64)
        state = drawn.get_state()
        shape = {"generator": drawn, "dtype": torch.float64}
        z = [torch.randn((1, 1, 8, 8), **shape) if t > 0 else torch.zeros((1, 1, 8, 8), dtype=torch.float64) for t in scheduler.timesteps]
        drawn.set_state(state)
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t).sample, t, x, generator=drawn).prev_sample
        run = f"ddpm{STEPS}"
        vectors = {"noise": noise, f"{run}.z": torch.stack(z), f"{run}.timesteps": scheduler.timesteps.long(), f"{run}.x0_f64_pure": x}
        save_file({key: value.contiguous().clone() for key, value in vectors.items()}, f"{name}.safetensors")
        with open(f"{name}.json", "w") as file:
            json.dump(json.loads(scheduler.to_json_string()), file, indent=1)
