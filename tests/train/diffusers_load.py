#!/usr/bin/env python3
"""A checkpoint that `mote train` wrote, loaded by diffusers: the same epsilon as Mote's own float network?

    pip install torch diffusers safetensors
    cargo build --release
    python tests/train/diffusers_load.py CHECKPOINT

Loads the pipeline as a user would, runs the network in PyTorch on seeded inputs at several timesteps, writes inputs and outputs as
reference vectors, and has `mote crosscheck` compare its float network with them. Exit status 0 where they agree within 1e-4.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import DiffusionPipeline, UNet2DModel
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 1e-4


def main():
    folder = Path(sys.argv[1])
    pipeline = DiffusionPipeline.from_pretrained(str(folder))
    unet = UNet2DModel.from_pretrained(str(folder), subfolder="unet").eval()
    same = all(torch.equal(a, b) for a, b in zip(pipeline.unet.state_dict().values(), unet.state_dict().values()))
    assert same, "the pipeline's network is another"
    generator = torch.Generator().manual_seed(0)
    size = unet.config.sample_size
    rows, cols = (size, size) if isinstance(size, int) else size
    timesteps = torch.tensor([0, 1, 250, 500, 999])
    x = torch.randn(len(timesteps), unet.config.in_channels, rows, cols, generator=generator)
    vectors = {"fwd.x": x, "fwd.t": timesteps}
    labels = None
    if unet.config.num_class_embeds:
        labels = torch.arange(len(timesteps)) % unet.config.num_class_embeds
        vectors["fwd.labels"] = labels
    with torch.no_grad():
        vectors["fwd.out"] = unet(x, timesteps, class_labels=labels).sample.contiguous()
    mote = os.environ.get("MOTE", str(ROOT / "target/release/mote"))
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "vectors.safetensors"
        save_file(vectors, str(path))
        done = subprocess.run([mote, "crosscheck", str(folder), str(path), "--json"], capture_output=True, text=True)
        if done.returncode not in (0, 1) or not done.stdout:
            sys.exit(done.stderr)
        error = json.loads(done.stdout)["forward_max_abs_err"]
    print(f"{folder}: loaded by diffusers, largest difference in the output {error:.2e} (limit {LIMIT:.0e})")
    sys.exit(0 if error <= LIMIT else 1)


main()
