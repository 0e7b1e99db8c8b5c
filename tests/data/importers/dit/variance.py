"""Runs of diffusers' DDPMScheduler with learned variances, in f64: `python variance.py` in this folder (PyTorch 2.15, diffusers 0.42.1)."""

import torch
from diffusers import DDPMScheduler, DiTTransformer2DModel
from diffusers.models import embeddings
from diffusers.schedulers import scheduling_ddpm
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
torch.manual_seed(5)


def features(self, timesteps):
    """Sines of the timestep in f64, where diffusers computes them in f32."""
    half = self.num_channels // 2
    exponent = -torch.log(torch.tensor(10000.0, dtype=torch.float64)) * torch.arange(half, dtype=torch.float64)
    angles = timesteps.double()[:, None] * torch.exp(exponent / (half - self.downscale_freq_shift))
    parts = [torch.cos(angles), torch.sin(angles)] if self.flip_sin_to_cos else [torch.sin(angles), torch.cos(angles)]
    return torch.cat(parts, dim=1)


embeddings.Timesteps.forward = features
network = DiTTransformer2DModel.from_config(DiTTransformer2DModel.load_config("transformer"))
for block in network.transformer_blocks:
    # These weights are half as wide as diffusers makes them.
    block.ff.net[0].proj, block.ff.net[2] = torch.nn.Linear(8, 16), torch.nn.Linear(16, 8)
network.load_state_dict(load_file("transformer/diffusion_pytorch_model.safetensors"))
network = network.double().eval()
scheduler = DDPMScheduler.from_pretrained("scheduler", clip_sample=False)
scheduler.betas = torch.linspace(0.0001, 0.02, 100, dtype=torch.float64)
scheduler.alphas_cumprod = torch.cumprod(1.0 - scheduler.betas, dim=0)
scheduler.one = torch.tensor(1.0, dtype=torch.float64)
scheduler.set_timesteps(5)

noise, labels = torch.randn(2, 1, 4, 4), torch.tensor([0, 2])
z = torch.randn(5, 2, 1, 4, 4)
drawn = iter(z.double())
scheduling_ddpm.randn_tensor = lambda *_, **__: next(drawn)
x, trajectory = noise.double(), []
with torch.no_grad():
    for t in scheduler.timesteps:
        out = network(x, timestep=t.expand(2), class_labels=labels).sample
        trajectory.append(x)
        x = scheduler.step(out, t, x).prev_sample
with torch.no_grad():
    called = network(noise.double(), timestep=torch.tensor([80, 3]), class_labels=labels).sample
tensors = {
    "fwd.x": noise.clone(),
    "fwd.t": torch.tensor([80.0, 3.0]),
    "fwd.out_f64_pure": called,
    "noise": noise,
    "labels": labels,
    "ddpm5.z": z,
    "ddpm5.timesteps": scheduler.timesteps,
    "ddpm5.x0_f64_pure": x,
    "ddpm5.traj_x_f64_pure": torch.stack(trajectory + [x]),
}
save_file(tensors, "variance.safetensors", {"meta_json": '{"final_alpha": 1.0, "clipping": "off"}'})
