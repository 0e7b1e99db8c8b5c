"""The weights of a checkpoint's folder, written anew as they move."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._arrays import usage

NATIVE = "diffusion_pytorch_model.safetensors"
EXPORTED = "net.pt2"
# safetensors' words for the types of PyTorch that a network trains in.
TYPES = {"torch.float32": "F32", "torch.float64": "F64", "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.int64": "I64"}


class Weights:
    """The file of a folder that holds the weights of a module; `write` puts a state dictionary into it.

    Only what torch.export.save and save_pretrained write is known: all else of the folder stays.
    """

    def __init__(self, folder: Path) -> None:
        found = [folder / EXPORTED, *sorted(folder.glob(f"**/{NATIVE}"))]
        found = [path for path in found if path.is_file() and path.parent.name not in ("vae", "vqvae")]
        if len(found) != 1:
            names = ", ".join(str(path.relative_to(folder)) for path in found) or "none"
            raise usage(f"of the checkpoint's files of weights there should be one, and there is {names}", f"save it as {NATIVE} or {EXPORTED}")
        [self.path] = found
        self._entries: dict[str, bytes] = {}
        self._of: dict[str, dict[str, Any]] = {}
        if self.path.name == EXPORTED:
            self._read()

    def _read(self) -> None:
        """Entries of the archive, and which of them hold which tensor."""
        with zipfile.ZipFile(self.path) as archive:
            self._entries = {name: archive.read(name) for name in archive.namelist()}
        for name, contents in self._entries.items():
            for kind in ("weights", "constants"):
                if name.endswith(f"_{kind}_config.json"):
                    folder = name.rpartition("/")[0]
                    config = json.loads(contents)["config"]
                    self._of |= {key: {**facts, "entry": f"{folder}/{facts['path_name']}"} for key, facts in config.items()}

    def names(self) -> set[str] | None:
        """Tensors that the file holds; None where it holds what it is given."""
        return set(self._of) if self.path.name == EXPORTED else None

    def write(self, state: Mapping[str, Any]) -> None:
        """Replaces the tensors. `state` is that of the module which the folder was made from: names, types and extents are the same."""
        if self.path.name != EXPORTED:
            self.path.write_bytes(safetensors(state))
            return
        for name, facts in self._of.items():
            if name in state:
                meta = facts["tensor_meta"]
                strides = [axis["as_int"] for axis in meta["strides"]]
                self._entries[facts["entry"]] = raw(_strided(state[name], strides))
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for name, contents in self._entries.items():
                archive.writestr(name, contents)
        self.path.write_bytes(packed.getvalue())


def _strided(tensor: Any, strides: list[int]) -> Any:
    """The tensor with its axes in the order in which the file has them in memory."""
    order = sorted(range(len(strides)), key=lambda axis: -strides[axis])
    return tensor.permute(order) if len(strides) == tensor.dim() else tensor


def raw(tensor: Any) -> bytes:
    """Little-endian numbers of a tensor, wherever it lies."""
    import torch

    found: bytes = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return found


def safetensors(state: Mapping[str, Any]) -> bytes:
    """The bytes of a safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, end = [], 0
    for name, tensor in state.items():
        kind = TYPES.get(str(tensor.dtype))
        if kind is None:
            raise usage(f"{name} has elements of type {tensor.dtype}", "train in float32")
        parts.append(raw(tensor))
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)
