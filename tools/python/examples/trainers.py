"""Trains a network under the rounding of its model file with Lightning or with Accelerate, as qat.py does in a plain loop.

    pip install diffusers lightning accelerate
    python tools/python/examples/trainers.py tools/assets/fashion16-tiny --trainer lightning --updates 200
    accelerate launch --cpu --num_processes 2 tools/python/examples/trainers.py tools/assets/fashion16-tiny --trainer accelerate

Nothing of Mote is special to a trainer: `QuantizedModule` is a module like any other. Keep its own arithmetic in float32 (`precision="32"`),
save its `state_dict()`, and deploy `net.model` where training has ended.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch
from diffusers import DDIMPipeline
from qat import psnr, trajectories

import mote
from mote.torch import QuantizedModule


class Pairs(torch.utils.data.Dataset):
    """States of the float network's runs, with what it says of them and what an error counts."""

    def __init__(self, teacher: torch.nn.Module, scheduler: object, args: argparse.Namespace) -> None:
        states, times, targets, weights = trajectories(teacher, scheduler, args.runs, args.steps, seed=0)
        weights = weights.expand(-1, args.runs, -1, -1, -1)
        self.parts = [part.flatten(0, 1) for part in (states, times, targets, weights)]

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, at: int) -> tuple[torch.Tensor, ...]:
        return tuple(part[at] for part in self.parts)


def loss_of(net: torch.nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
    """The weighted squared distance to the float network."""
    states, times, targets, weights = batch
    return (weights * (net(states, times).sample - targets)).square().mean()


def rate_of(net: torch.nn.Module, args: argparse.Namespace) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Adam whose rate rises for 20 updates and then falls to 0: the model begins where the converter has done its best."""
    optimizer = torch.optim.Adam(net.parameters(), lr=args.rate)
    share = lambda done: min((done + 1) / 20, 1 - done / args.updates)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def with_lightning(net: QuantizedModule, data: torch.utils.data.DataLoader, args: argparse.Namespace) -> None:
    """Lightning's loop."""
    import lightning

    class Training(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
            loss = loss_of(self.net, batch)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> dict[str, object]:
            optimizer, schedule = rate_of(self.net, args)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    trainer = lightning.Trainer(
        accelerator="cpu", precision="32", max_steps=args.updates, logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.fit(Training(), data)


def with_accelerate(net: QuantizedModule, data: torch.utils.data.DataLoader, args: argparse.Namespace) -> None:
    """Accelerate's loop: in as many processes as it was launched with, each with its share of the batches."""
    from accelerate import Accelerator

    # One update of all processes together is one step of the rate.
    accelerator = Accelerator(cpu=True, step_scheduler_with_optimizer=False)
    prepared, optimizer, schedule, batches = accelerator.prepare(net, *rate_of(net, args), data)
    step = 0
    while step < args.updates:
        for batch in batches:
            loss = loss_of(prepared, batch)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            step += 1
            if step == args.updates:
                break
    accelerator.wait_for_everyone()
    assert accelerator.unwrap_model(prepared) is net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a diffusers pipeline with a U-Net")
    parser.add_argument("--trainer", choices=("lightning", "accelerate"), required=True)
    parser.add_argument("--scheme", default="w4a8")
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-5)
    parser.add_argument("--runs", type=int, default=256, help="trajectories of the float network")
    parser.add_argument("--steps", type=int, default=20, help="denoising steps of a run")
    parser.add_argument("--seeds", type=int, default=64, help="images that are compared")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    pipeline = DDIMPipeline.from_pretrained(args.checkpoint)
    teacher = copy.deepcopy(pipeline.unet).eval().requires_grad_(False)
    model = mote.convert(pipeline, scheme=args.scheme)
    net = QuantizedModule(pipeline.unet.train(), model)
    data = Pairs(teacher, pipeline.scheduler, args)
    batches = torch.utils.data.DataLoader(data, args.batch, shuffle=True, drop_last=True)
    {"lightning": with_lightning, "accelerate": with_accelerate}[args.trainer](net, batches, args)
    print(f"{args.trainer}, {args.updates} updates: {psnr(model, args):.2f} dB as converted, {psnr(net.model, args):.2f} dB as trained")


if __name__ == "__main__":
    main()
