"""Model files."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _mote
from ._arrays import as_numpy, samples, usage, whole_numbers
from ._progress import Progress, told

LAST_SEED = 2**64 - 1
LAST_LABEL = 2**16 - 1


@dataclass(frozen=True)
class Images:
    """What `Model.sample` made, in the order of the seeds.

    Attributes:
        seeds: A seed an image.
        digests: A digest an image: 16 hexadecimal digits of its last state, the same on every backend and device.
        pixels: uint8 `(image, row, col, channel)`; -1 is 0 and 1 is 255.
        samples: float32 `(image, channel, row, col)`.
    """

    seeds: list[int]
    digests: list[str]
    pixels: np.ndarray
    samples: np.ndarray

    def __len__(self) -> int:
        return len(self.seeds)


class Model:
    """A checked model file. It runs with the bits of the device.

    Args:
        source: The path of a `.mote` file, or its bytes.

    Raises:
        InputError: It cannot be read, or is no model file of this version.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> None:
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._model = _mote.Model.from_bytes(bytes(source))
        else:
            self._model = _mote.Model.open(os.fspath(source))
        self._recipe: dict[str, Any] | None = None

    @classmethod
    def _of(cls, model: _mote.Model, recipe: dict[str, Any] | None = None) -> Model:
        made = cls.__new__(cls)
        made._model = model
        # How it was made of a network in memory, but for the network: for quantization-aware training.
        made._recipe = recipe
        return made

    def _requantized(self, folder: os.PathLike[str]) -> Model:
        """The model of the weights of another checkpoint of the same network, in this one's number formats."""
        return self._of(self._model.requantized(os.fspath(folder)), self._recipe)

    def _rounded(self, folder: os.PathLike[str]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Weights of a checkpoint, those that the model makes of them, and first ones that become those of this model."""
        found = self._model.rounded(os.fspath(folder))
        return {name: tuple(np.frombuffer(part, dtype="<f4") for part in parts) for name, parts in found.items()}

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of what a run ends in: its decoder's picture where it has one, else the sample."""
        return self._model.picture_shape()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of a sample."""
        return self._model.shape()

    @property
    def train_steps(self) -> int:
        """Training timesteps."""
        return self._model.train_steps()

    @property
    def condition_len(self) -> int:
        """Numbers of the condition vector that a run is given; 0 of a model that takes none."""
        return self._model.condition_len()

    @property
    def null_class(self) -> int | None:
        """The label that means no class, for guidance."""
        return self._model.null_class()

    def to_bytes(self) -> bytes:
        """The file."""
        return self._model.bytes()

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, whole or not at all. Its name ends with `.mote`."""
        self._model.write(os.fspath(path))

    def sample(
        self,
        seeds: int | Iterable[int] = 0,
        *,
        steps: int | None = None,
        sampler: str | None = None,
        labels: int | Sequence[int] | None = None,
        guidance: float | None = None,
        condition: Any = None,
        start: Any = None,
        image: Any = None,
        strength: float = 0.5,
        eta: float | None = None,
        variance: str | None = None,
        spacing: str | None = None,
        prev: str | None = None,
        clip: str | None = None,
        backend: str = "cpu",
        progress: Progress = None,
    ) -> Images:
        """Makes an image a seed. The same seed gives the same bytes on every backend.

        Args:
            seeds: Whole numbers from 0 to 2^64 - 1.
            steps: Denoising steps; 20 by default.
            sampler: `ddim` (default), `ddpm`, `dpm++`, `heun`, `euler`, as `mote sample --help` lists them.
            labels: A class label an image, or one for all; the null class by default.
            guidance: Weight of classifier-free guidance (Ho and Salimans 2022): two network calls a step.
            condition: Vectors `(image, number)`, or one `(number)` for all, of a model that takes them. Numbers outside its range are
                clamped.
            start: Noise to start from, `(image, channel, row, col)`; drawn from the seeds by default.
            image: A sample to start from, `(channel, row, col)`, noised as far as `strength` says.
            strength: Share of the steps that `image` goes through, above 0 and up to 1.
            eta: Noise that DDIM adds, 0 to 1.
            variance, spacing, prev, clip: As the options of `mote sample`; the checkpoint's by default.
            backend: `cpu`, `portable`, `oracle`, `cuda`, `board:NAME`.
            progress: True for a bar (needs tqdm), or a function of (steps done, steps in all).

        Raises:
            UsageError, RefusedError: The request cannot be, or does not go with the model.
            UnavailableError: The backend cannot run here.
        """
        found = whole_numbers(seeds, "seeds", LAST_SEED)
        if not found:
            raise usage("seeds is empty", "give a seed an image")
        of_images = self._labels(labels, len(found))
        noise = None if start is None else samples(start, self.shape, "start")
        if noise is not None and len(noise) != len(found):
            raise usage(f"start has {len(noise)} samples for {len(found)} seeds", "give one sample of noise a seed")
        first = None if image is None else samples(image, self.shape, "image")
        if first is not None and len(first) != 1:
            raise usage(f"image holds {len(first)} samples", "give one image; call again for others")
        options = _options(steps, sampler, variance, spacing, prev, eta, clip)
        with told(progress, len(found) * (steps or 20), "sampling") as callback:
            digests, states, pixels = self._model.sample(
                found,
                options,
                of_images,
                guidance,
                self._conditions(condition, len(found)),
                None if noise is None else noise.tobytes(),
                None if first is None else first.tobytes(),
                float(strength),
                backend,
                callback,
            )
        channels, rows, cols = self.shape
        state = np.frombuffer(states, dtype="<f4").reshape(-1, channels, rows, cols)
        channels, rows, cols = self.picture_shape
        picture = np.frombuffer(pixels, dtype=np.uint8).reshape(len(found), rows, cols, channels)
        return Images(found, digests, picture, state)

    def sample_part(
        self,
        out: str | os.PathLike[str],
        *,
        count: int,
        shard: tuple[int, int] = (0, 1),
        seed: int = 0,
        label: int | None = None,
        guidance: float | None = None,
        backend: str = "cpu",
        progress: Progress = None,
        **options: Any,
    ) -> int:
        """Writes the images of one shard of a run to the archive `out`; `mote.merge` joins the parts to the archive of all of them.

        Args:
            out: A name that ends with `.npz`.
            count: Images of the whole run, from `seed` on.
            shard: Which part, from 0, of how many.
            options: `steps`, `sampler`, `variance`, `spacing`, `prev`, `eta` and `clip`, as in `sample`.

        Returns:
            The number of images in the part.
        """
        part = _part(out, count, shard, seed, label, guidance, backend)
        steps = _options(**_known(options))
        total = -(-part["count"] // max(1, part["shard"][1])) * (steps["steps"] or 20)
        with told(progress, total, "sampling") as callback:
            return _mote.sample_part(self._model, part, steps, callback)

    def statistics(
        self,
        checkpoint: str | os.PathLike[str],
        out: str | os.PathLike[str],
        *,
        count: int,
        shard: tuple[int, int] = (0, 1),
        seed: int = 0,
        label: int | None = None,
        guidance: float | None = None,
        backend: str = "cpu",
        network: str = "cpu",
        data: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> tuple[int, int]:
        """Writes what the distances between `count` images and those of `checkpoint`'s float network are computed of, for one shard of them.

        `mote.merge` joins the parts and gives the distances of `mote validate --distribution`.

        Args:
            out: A name that ends with `.moments`.
            network: What runs the float network: `cpu`, `cuda` or `cuda:f16`.
            data: Real images, as `mote validate --data` takes them.

        Returns:
            The first image of the part, and the one after its last.
        """
        part = _part(out, count, shard, seed, label, guidance, backend)
        given = None if data is None else os.fspath(data)
        return _mote.statistics(self._model, os.fspath(checkpoint), part, _options(**_known(options)), network, given)

    def predict(
        self, x: Any, t: Any, *, labels: int | Sequence[int] | None = None, condition: Any = None
    ) -> np.ndarray:
        """One network call a sample: what the device's network says of states `x` at timesteps `t`.

        Args:
            x: States `(sample, channel, row, col)`, finite, at most 64 in magnitude.
            t: A timestep a sample, or one for all: whole numbers below `train_steps`; any number of a flow.
            labels: A class label a sample, or one for all.
            condition: A vector a sample, or one for all, of a model that takes them.

        Returns:
            float32 `(sample, channel, row, col)`: epsilon, v, x0 or velocity, as the checkpoint predicts.
        """
        states = samples(x, self.shape, "x")
        times = as_numpy(t, "t").astype(np.float64).reshape(-1)
        if len(times) == 1:
            times = np.repeat(times, len(states))
        if len(times) != len(states):
            raise usage(f"t has {len(times)} timesteps for {len(states)} samples", "give one a sample, or one for all")
        answer = self._model.predict(
            states.tobytes(),
            times.tolist(),
            self._labels(labels, len(states)),
            self._conditions(condition, len(states)),
        )
        return np.frombuffer(answer, dtype="<f4").reshape(states.shape)

    def inspect(self) -> dict[str, Any]:
        """What the file holds: the object of `mote inspect --json`."""
        return json.loads(self._model.inspect())

    def fit(self, board: str) -> dict[str, Any]:
        """What it takes of a board, and whether it fits: an estimate, the same on every machine."""
        return json.loads(self._model.fit(board))

    def report(self) -> str:
        """A page about the file, as HTML."""
        return self._model.report()

    def planned(self, *, steps: int | None = None, sampler: str | None = None, **options: Any) -> Model:
        """The file for a product that samples in one way; `options` are those of `sample`."""
        known = {name: options.pop(name, None) for name in ("variance", "spacing", "prev", "eta", "clip")}
        if options:
            raise usage(f"planned has no option {sorted(options)[0]}", f"choose from {', '.join(sorted(known))}")
        return self._of(self._model.planned(_options(steps, sampler, **known)))

    def validate(
        self,
        backends: Iterable[str] = (),
        *,
        seeds: int = 4,
        steps: int | None = None,
        sampler: str | None = None,
        label: int | None = None,
        guidance: float | None = None,
        condition: Any = None,
    ) -> list[dict[str, Any]]:
        """Holds backends to the same bits, step by step; whatever is here where none are named.

        Args:
            seeds: Images, of the seeds from 0 on.
            condition: Vectors `(image, number)`, or one `(number)` for all, of a model that takes them.

        Returns:
            An outcome a backend; `held` says whether every step of every image agreed.
        """
        options = _options(steps, sampler, None, None, None, None, None)
        if isinstance(backends, str):
            raise usage(f"backends is {backends!r}", f"give a list, such as [{backends!r}]")
        [seeds] = whole_numbers(seeds, "seeds", 1_000_000)
        rows = self._conditions(condition, seeds)
        return json.loads(self._model.validate(list(backends), seeds, options, label, guidance, rows))

    def compare(
        self, checkpoint: str | os.PathLike[str], *, seeds: int = 8, steps: int | None = None, label: int | None = None
    ) -> dict[str, Any]:
        """How far its images are from those of the float network of `checkpoint`, in dB."""
        options = _options(steps, None, None, None, None, None, None)
        return json.loads(self._model.compare(os.fspath(checkpoint), seeds, options, label))

    def _labels(self, labels: int | Sequence[int] | None, count: int) -> list[int] | None:
        if labels is None:
            return None
        found = whole_numbers(labels, "labels", LAST_LABEL)
        if len(found) == 1:
            found = found * count
        if len(found) != count:
            raise usage(f"{len(found)} labels for {count} samples", "give one a sample, or one for all")
        return found

    def _conditions(self, condition: Any, count: int) -> list[list[float]] | None:
        if condition is None:
            return None
        rows = np.atleast_2d(as_numpy(condition, "condition")).astype(np.float64)
        width = self._model.condition_len()
        if rows.ndim != 2 or rows.shape[1] != width or len(rows) not in (1, count):
            advice = f"give ({count}, {width}), or ({width})" if width else "leave it out: the model takes none"
            raise usage(f"condition has shape {rows.shape}", advice)
        return rows.tolist()

    def __repr__(self) -> str:
        facts = self.inspect()
        channels, rows, cols = self.shape
        return f"<mote.Model {facts['scheme']}, {channels}x{rows}x{cols}, {facts['bytes']:,} bytes>"

    def _repr_html_(self) -> str:
        """A card for notebooks: what it is, what it takes, which boards hold it."""
        facts = self.inspect()
        fitting = [board["name"] for board in facts["boards"] if board["fits"]]
        rows = {
            "scheme": facts["scheme"],
            "sample (channels, rows, columns)": " x ".join(map(str, self.shape)),
            "file": f"{facts['bytes']:,} bytes",
            "memory of a run": f"{facts['memory']['run_bytes']:,} bytes",
            "multiply-accumulates a step": f"{facts['macs_per_step']:,}",
            "boards that hold it": ", ".join(fitting) or "none",
        }
        cells = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows.items())
        return f"<table><caption>Mote model</caption>{cells}</table>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.to_bytes(),)

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        # Nothing of it changes.
        return self


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a run that were given by name, all of them."""
    names = ("steps", "sampler", "variance", "spacing", "prev", "eta", "clip")
    known = {name: options.pop(name, None) for name in names}
    if options:
        raise usage(f"there is no option {sorted(options)[0]}", f"choose from {', '.join(names)}")
    return known


def _part(
    out: str | os.PathLike[str],
    count: int,
    shard: tuple[int, int],
    seed: int,
    label: int | None,
    guidance: float | None,
    backend: str,
) -> _mote.Part:
    [count] = whole_numbers(count, "count", 1_000_000)
    [seed] = whole_numbers(seed, "seed", LAST_SEED)
    numbers = whole_numbers(shard, "shard", 1_000_000)
    if len(numbers) != 2:
        raise usage(f"shard is {shard}", "give a pair: which part, from 0, of how many")
    if label is not None:
        [label] = whole_numbers(label, "label", LAST_LABEL)
    return {
        "out": os.fspath(out),
        "count": count,
        "shard": (numbers[0], numbers[1]),
        "seed": seed,
        "label": label,
        "guidance": guidance,
        "backend": backend,
    }


def _options(
    steps: int | None,
    sampler: str | None,
    variance: str | None = None,
    spacing: str | None = None,
    prev: str | None = None,
    eta: float | None = None,
    clip: str | None = None,
) -> _mote.Steps:
    if steps is not None:
        [steps] = whole_numbers(steps, "steps", 2**32 - 1)
    return {
        "sampler": sampler,
        "variance": variance,
        "steps": steps,
        "spacing": spacing,
        "prev": prev,
        "eta": eta,
        "clip": clip,
    }
