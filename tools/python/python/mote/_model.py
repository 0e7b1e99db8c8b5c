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
from ._arrays import as_numpy, listed, object_of, path as path_of, real, samples, usage, whole_number, whole_numbers, word
from ._progress import Progress, told
from ._report import Report

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

    def write(self, path: str | os.PathLike[str], *, columns: int | None = None, zoom: int = 1) -> None:
        """Writes them as one PNG, in a grid without gaps, whole or not at all: the picture of `mote sample -o`.

        >>> model.sample(range(16), steps=20).write("grid.png", zoom=8)

        Args:
            path: A name that ends with `.png`.
            columns: Columns of the grid; a square's by default.
            zoom: Each pixel becomes a square of `zoom` by `zoom`.

        Raises:
            UsageError: They are signals or actions, which are no pictures.
        """
        _write_png(path, self.pixels, columns, zoom)

    def _repr_png_(self) -> bytes | None:
        return _shown(self.pixels)


@dataclass(frozen=True)
class Pictures:
    """What `Model.decode` made, in the order of the latents.

    Attributes:
        digests: A digest a picture, the same on every backend.
        pixels: uint8 `(picture, row, col, channel)`.
    """

    digests: list[str]
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.digests)

    def write(self, path: str | os.PathLike[str], *, columns: int | None = None, zoom: int = 1) -> None:
        """Writes them as one PNG, in a grid without gaps, as `Images.write` does.

        >>> decoder.decode(latents).write("pictures.png")
        """
        _write_png(path, self.pixels, columns, zoom)

    def _repr_png_(self) -> bytes | None:
        return _shown(self.pixels)


class Model:
    """A checked model file. It runs with the bits of the device.

    >>> model = mote.Model("my.mote")
    >>> with mote.Model("my.mote") as model:
    ...     images = model.sample(seeds=range(4), steps=20)

    Threads may share a model. It is let go of by `close`, by the end of `with`, or where nothing names it any more.

    Args:
        source: The path of a `.mote` file, or its bytes.

    Attributes:
        notes: What a user should know of the conversion that made it, a sentence each; empty of a file that was opened.

    Raises:
        InputError: It cannot be read, or is no model file of this version.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> None:
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._open: _mote.Model | None = _mote.Model.from_bytes(bytes(source))
        else:
            self._open = _mote.Model.open(path_of(source, "source"))
        self._recipe: dict[str, Any] | None = None
        self._page: str | None = None
        self._card: str | None = None
        self.notes: list[str] = []

    @classmethod
    def _of(cls, model: _mote.Model, recipe: dict[str, Any] | None = None) -> Model:
        made = cls.__new__(cls)
        made._open = model
        # How it was made of a network in memory, but for the network: for quantization-aware training.
        made._recipe = recipe
        made._page = made._card = None
        made.notes = []
        return made

    @property
    def _model(self) -> _mote.Model:
        if self._open is None:
            raise usage("the model is closed", "open it again: mote.Model(...)")
        return self._open

    def close(self) -> None:
        """Lets go of the file's memory. Whatever is asked of the model afterwards raises; a call that is under way ends as it would have.

        >>> model.close()
        """
        self._open = None
        self._page = self._card = None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._open is None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _requantized(self, folder: os.PathLike[str]) -> Model:
        """The model of the weights of another checkpoint of the same network, in this one's number formats."""
        return self._of(self._model.requantized(os.fspath(folder)), self._recipe)

    def _rounded(self, folder: os.PathLike[str]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Weights of a checkpoint, those that the model makes of them, and first ones that become those of this model."""
        found = self._model.rounded(os.fspath(folder))
        return {
            name: (np.frombuffer(a, dtype="<f4"), np.frombuffer(b, dtype="<f4"), np.frombuffer(c, dtype="<f4"))
            for name, (a, b, c) in found.items()
        }

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
    def condition_range(self) -> tuple[float, float] | None:
        """The least and the largest number of a condition vector, to which runs clamp; None of a model that takes none."""
        found = self._model.condition_range()
        return None if found is None else (found[0], found[1])

    @property
    def null_class(self) -> int | None:
        """The label that means no class, for guidance."""
        return self._model.null_class()

    def to_bytes(self) -> bytes:
        """The file. Python's bytes are a copy: the model keeps its own, which nobody can write to.

        >>> mote.Model(model.to_bytes()).sample(7).digests == model.sample(7).digests
        True
        """
        return self._model.bytes()

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, whole or not at all. Its name ends with `.mote`.

        >>> model.write("my.mote")
        """
        self._model.write(path_of(path, "path"))

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
        mask: Any = None,
        strength: float | None = None,
        known: Sequence[float | None] | None = None,
        known_noise: float = 0.0,
        interpolate: int | None = None,
        frames: int | None = None,
        eta: float | None = None,
        variance: str | None = None,
        spacing: str | None = None,
        prev: str | None = None,
        clip: str | None = None,
        backend: str = "cpu",
        progress: Progress = None,
    ) -> Images:
        """Makes an image a seed. The same seed gives the same bytes on every backend.

        >>> images = model.sample(seeds=range(16), steps=20)
        >>> images.pixels.shape, images.digests[0]
        ((16, 16, 16, 1), '4a957de3ee6433b9')
        >>> model.sample([7], image=old, mask=hole)
        >>> model.sample(3, interpolate=8, frames=9)

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
            mask: `(row, col)`, true where the image is made anew; elsewhere it stays `image`, number for number.
            strength: Share of the steps that `image` goes through, above 0 and up to 1; 0.5 by default, noise with `mask`.
            known: Of a diffusion chain: a number an element that is known, None elsewhere; a bit is 0 or 1.
            known_noise: How well: the probability that each bit was flipped, or the standard deviation of each value; 0 is exactly.
            interpolate: A second seed: `frames` images start between the noise of the one seed that is given and that of this one.
            frames: Images from one seed to the other, both included; 8 by default.
            eta: Noise that DDIM adds, 0 to 1.
            variance, spacing, prev, clip: As the options of `mote sample`; the checkpoint's by default.
            backend: `cpu`, `portable`, `oracle`, `wasm`, `cuda`, `board:NAME`.
            progress: True for a bar (needs tqdm), or a function of (steps done, steps in all).

        Raises:
            UsageError, RefusedError: The request cannot be, or does not go with the model.
            UnavailableError: The backend cannot run here.
        """
        found = whole_numbers(seeds, "seeds", LAST_SEED)
        if not found:
            raise usage("seeds is empty", "give a seed an image")
        found, second = _between(found, interpolate, frames)
        of_images = self._labels(labels, len(found))
        beginning = self._beginning(start, image, mask, strength, second)
        beginning["factor"] = self._factor(known, known_noise)
        noise = beginning["noise"]
        if noise is not None and len(noise) != len(found):
            raise usage(f"start has {len(noise)} samples for {len(found)} seeds", "give one sample of noise a seed")
        options = _options(steps, sampler, variance, spacing, prev, eta, clip)
        with told(progress, len(found) * self._model.steps(options), "sampling") as callback:
            digests, states, pixels = self._model.sample(
                found,
                options,
                of_images,
                None if guidance is None else real(guidance, "guidance"),
                self._conditions(condition, len(found)),
                beginning,
                word(backend, "backend"),
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
        condition: Any = None,
        start: Any = None,
        image: Any = None,
        mask: Any = None,
        strength: float | None = None,
        known: Sequence[float | None] | None = None,
        known_noise: float = 0.0,
        backend: str = "cpu",
        progress: Progress = None,
        **options: Any,
    ) -> int:
        """Writes the images of one shard of a run to the archive `out`; `mote.merge` joins the parts to the archive of all of them.

        >>> model.sample_part("part-3.npz", count=64, shard=(3, 16), steps=10)
        4

        Args:
            out: A name that ends with `.npz`.
            count: Images of the whole run, from `seed` on.
            shard: Which part, from 0, of how many.
            condition, start: As in `sample`, of the whole run: `count` of them, or one condition for all.
            image, mask, strength, known, known_noise: As in `sample`.
            options: `steps`, `sampler`, `variance`, `spacing`, `prev`, `eta` and `clip`, as in `sample`.

        Returns:
            The number of images in the part.
        """
        part = _part(out, count, shard, seed, label, guidance, backend)
        part["condition"] = self._conditions(condition, part["count"])
        beginning = self._beginning(start, image, mask, strength)
        beginning["factor"] = self._factor(known, known_noise)
        steps = _options(**_known(options))
        total = -(-part["count"] // max(1, part["shard"][1])) * self._model.steps(steps)
        with told(progress, total, "sampling") as callback:
            return _mote.sample_part(self._model, part, steps, beginning, callback)

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

        >>> model.statistics("my-checkpoint", "part-1.moments", count=32, shard=(1, 2), steps=2)
        (16, 32)

        Args:
            out: A name that ends with `.moments`.
            network: What runs the float network: `cpu`, `cuda` or `cuda:f16`.
            data: Real images, as `mote validate --data` takes them.

        Returns:
            The first image of the part, and the one after its last.
        """
        part = _part(out, count, shard, seed, label, guidance, backend)
        given = None if data is None else path_of(data, "data")
        steps = _options(**_known(options))
        return _mote.statistics(self._model, path_of(checkpoint, "checkpoint"), part, steps, word(network, "network"), given)

    def predict(
        self, x: Any, t: Any, *, labels: int | Sequence[int] | None = None, condition: Any = None
    ) -> np.ndarray:
        """One network call a sample: what the device's network says of states `x` at timesteps `t`.

        >>> model.predict(np.zeros((2, 1, 16, 16)), [10, 500]).shape
        (2, 1, 16, 16)

        Args:
            x: States `(sample, channel, row, col)`, finite, at most 64 in magnitude.
            t: A timestep a sample, or one for all: whole numbers below `train_steps`; any number of a flow.
            labels: A class label a sample, or one for all.
            condition: A vector a sample, or one for all, of a model that takes them.

        Returns:
            float32 `(sample, channel, row, col)`: epsilon, v, x0 or velocity, as the checkpoint predicts.
        """
        return self._predict(x, t, labels, condition)

    def _predict(self, x: Any, t: Any, labels: Any = None, condition: Any = None, between: bool = False) -> np.ndarray:
        """The same; with `between` at any number between the training timesteps."""
        states = samples(x, self.shape, "x")
        times = as_numpy(t, "t").astype(np.float64).reshape(-1)
        if len(times) == 1:
            times = np.repeat(times, len(states))
        if len(times) != len(states):
            raise usage(f"t has {len(times)} timesteps for {len(states)} samples", "give one a sample, or one for all")
        answer = self._model.predict(
            states,
            times.tolist(),
            self._labels(labels, len(states)),
            self._conditions(condition, len(states)),
            between,
        )
        return np.frombuffer(answer, dtype="<f4").reshape(states.shape)

    def decode(self, latents: Any, *, backend: str = "cpu") -> Pictures:
        """Makes pictures of latents with the decoder: a file of its own, or that of a model which samples latents.

        >>> decoder.decode(latents).pixels.shape
        (4, 16, 16, 3)

        Args:
            latents: `(sample, channel, row, col)`.
            backend: `cpu`, `portable` or `oracle`.
        """
        given = samples(latents, self.shape, "latents")
        digests, pixels = self._model.decode(given, word(backend, "backend"))
        channels, rows, cols = self.picture_shape
        return Pictures(digests, np.frombuffer(pixels, dtype=np.uint8).reshape(len(digests), rows, cols, channels))

    def inspect(self) -> dict[str, Any]:
        """What the file holds: the object of `mote inspect --json`.

        >>> model.inspect()["scheme"]
        'w8a8'
        """
        return object_of(self._model.inspect())

    def fit(self, board: str) -> dict[str, Any]:
        """What it takes of a board, and whether it fits: an estimate, the same on every machine.

        >>> model.fit("nrf52840")["fits"]
        True

        Args:
            board: A simulated board or a chip, as `mote boards` lists them, or the path of a `board.toml`.

        Returns:
            `fits`, bytes of flash and RAM; `estimate` says what a step takes there.
        """
        fit, estimate = json.loads(self._model.fit(path_of(board, "board")))
        return {**fit, "estimate": estimate}

    def report(self) -> Report:
        """A page about the model, as HTML: that of its conversion where `mote.convert` was asked for it, else one about the file.

        >>> model.report().open()
        """
        return Report(self._model.report() if self._page is None else self._page)

    def planned(self, *, steps: int | None = None, sampler: str | None = None, **options: Any) -> Model:
        """The file for a product that samples in one way; `options` are those of `sample`.

        >>> model.planned(steps=8, sampler="dpm++").write("product.mote")
        """
        return self._of(self._model.planned(_options(**_known({"steps": steps, "sampler": sampler, **options}))))

    def validate(
        self,
        backends: Iterable[str] = (),
        *,
        seeds: int = 4,
        label: int | None = None,
        guidance: float | None = None,
        condition: Any = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Holds backends to the same bits, step by step; whatever is here where none are named.

        >>> all(outcome["held"] for outcome in model.validate(["cpu", "oracle"], seeds=1, steps=2))
        True

        Args:
            seeds: Images, of the seeds from 0 on.
            condition: Vectors `(image, number)`, or one `(number)` for all, of a model that takes them.
            options: `steps`, `sampler`, `variance`, `spacing`, `prev`, `eta` and `clip`, as in `sample`.

        Returns:
            An outcome a backend; `held` says whether every step of every image agreed.
        """
        names = [word(name, "a backend") for name in listed(backends, "backends", 'give a list, such as ["cpu"]')]
        count = whole_number(seeds, "seeds", 1_000_000)
        asked = self._asked(label, guidance, condition, count)
        outcomes: list[dict[str, Any]] = json.loads(self._model.validate(names, count, _options(**_known(options)), asked))
        return outcomes

    def compare(
        self,
        checkpoint: str | os.PathLike[str],
        *,
        seeds: int = 8,
        label: int | None = None,
        guidance: float | None = None,
        condition: Any = None,
        network: str = "cpu",
        **options: Any,
    ) -> dict[str, Any]:
        """How far its images are from those of the float network of `checkpoint`, in dB.

        >>> model.compare("my-checkpoint", seeds=2, steps=4)["x0_psnr_db_mean"] > 30
        True

        Args:
            checkpoint: The folder that it was converted from.
            network: What runs the float network: `cpu`, `cuda` or `cuda:f16`.
            seeds, label, guidance, condition, options: As in `validate`.
        """
        count = whole_number(seeds, "seeds", 1_000_000)
        asked = self._asked(label, guidance, condition, count)
        steps = _options(**_known(options))
        return object_of(self._model.compare(path_of(checkpoint, "checkpoint"), count, steps, asked, word(network, "network")))

    def _asked(self, label: int | None, guidance: float | None, condition: Any, count: int) -> _mote.Of:
        return {
            "label": None if label is None else whole_number(label, "label", LAST_LABEL),
            "guidance": None if guidance is None else real(guidance, "guidance"),
            "condition": self._conditions(condition, count),
        }

    def _beginning(self, start: Any, image: Any, mask: Any, strength: float | None, second: int | None = None) -> _mote.Beginning:
        """Where images start, as the compiled part takes it."""
        noise = None if start is None else samples(start, self.shape, "start")
        first = None if image is None else samples(image, self.shape, "image")
        given = [name for name, value in (("start", start), ("image", image), ("interpolate", second)) if value is not None]
        if len(given) > 1:
            raise usage(f"both {given[0]} and {given[1]} are given", "give one of them")
        if first is not None and len(first) != 1:
            raise usage(f"image holds {len(first)} samples", "give one image; call again for others")
        if first is None and (mask is not None or strength is not None):
            raise usage(f"{'mask' if mask is not None else 'strength'} without image", "give image=, or leave it out")
        return {
            "noise": noise,
            "image": first,
            "mask": None if mask is None else self._mask(mask),
            "strength": None if strength is None else real(strength, "strength"),
            "second": second,
            "factor": None,
        }

    def _mask(self, mask: Any) -> list[bool]:
        _, rows, cols = self.shape
        found = as_numpy(mask, "mask")
        if found.shape != (rows, cols) or not np.isin(found, (0, 1)).all():
            raise usage(f"mask has shape {found.shape} and type {found.dtype}", f"give ({rows}, {cols}) of true and false")
        return found.astype(bool).reshape(-1).tolist()

    def _labels(self, labels: int | Sequence[int] | None, count: int) -> list[int] | None:
        if labels is None:
            return None
        found = whole_numbers(labels, "labels", LAST_LABEL)
        if len(found) == 1:
            found = found * count
        if len(found) != count:
            raise usage(f"{len(found)} labels for {count} samples", "give one a sample, or one for all")
        return found

    def _factor(self, known: Any, noise: Any) -> tuple[list[float | None], float] | None:
        found = real(noise, "known_noise")
        if known is None:
            if found != 0.0:
                raise usage("known_noise without known", "give known=, or leave it out")
            return None
        elements = listed(known, "known", "give a number an element, None where nothing is known")
        return [None if one is None else real(one, "known") for one in elements], found

    def _conditions(self, condition: Any, count: int) -> list[list[float]] | None:
        if condition is None:
            return None
        rows = np.atleast_2d(as_numpy(condition, "condition")).astype(np.float64)
        width = self._model.condition_len()
        if rows.ndim != 2 or rows.shape[1] != width or len(rows) not in (1, count):
            advice = f"give ({count}, {width}), or ({width})" if width else "leave it out: the model takes none"
            raise usage(f"condition has shape {rows.shape}", advice)
        found: list[list[float]] = rows.tolist()
        return found

    def __repr__(self) -> str:
        if self.closed:
            return "<mote.Model, closed>"
        facts = self.inspect()
        channels, rows, cols = self.shape
        return f"<mote.Model {facts['scheme']}, {channels}x{rows}x{cols}, {facts['bytes']:,} bytes>"

    def _repr_html_(self) -> str:
        """A card for notebooks: what it is, what it takes, which boards hold it, and a few samples."""
        if self.closed:
            return html.escape(repr(self))
        if self._card is None:
            self._card = self._model.card()
        return self._card

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.to_bytes(),)

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        # Nothing of it changes.
        return self


def _between(seeds: list[int], interpolate: int | None, frames: int | None) -> tuple[list[int], int | None]:
    """The seed of every image, and the second seed where they start between two."""
    if interpolate is None:
        if frames is not None:
            raise usage("frames without interpolate", "give interpolate=, or leave it out")
        return seeds, None
    second = whole_number(interpolate, "interpolate", LAST_SEED)
    count = 8 if frames is None else whole_number(frames, "frames", 10_000)
    if len(seeds) != 1 or count < 2:
        raise usage(f"{len(seeds)} seeds and {count} frames to interpolate", "give one seed, the other as interpolate=, and frames from 2")
    return seeds * count, second


def _write_png(path: str | os.PathLike[str], pixels: np.ndarray, columns: int | None, zoom: int) -> None:
    across = None if columns is None else whole_number(columns, "columns", 10_000)
    wide = whole_number(zoom, "zoom", 64)
    if across == 0 or wide == 0:
        raise usage("the grid has no columns or pixels", "give columns and zoom from 1")
    _mote.write_png(path_of(path, "path"), np.ascontiguousarray(pixels), across, wide)


def _shown(pixels: np.ndarray) -> bytes | None:
    """A PNG for notebooks, of pixels that can be seen; None of what is no picture."""
    count, rows, cols, _ = pixels.shape
    if rows == 1 or count == 0:
        return None
    few = pixels[:64]
    return _mote.png(np.ascontiguousarray(few), None, max(1, min(8, 128 // max(rows, cols))))


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a run that were given by name, all of them."""
    names = ("steps", "sampler", "variance", "spacing", "prev", "eta", "clip")
    for name in options:
        if name not in names:
            raise usage(f"there is no option {name}", f"choose from {', '.join(names)}")
    return {name: options.get(name) for name in names}


def _part(
    out: str | os.PathLike[str],
    count: int,
    shard: tuple[int, int],
    seed: int,
    label: int | None,
    guidance: float | None,
    backend: str,
) -> _mote.Part:
    numbers = whole_numbers(shard, "shard", 1_000_000)
    if len(numbers) != 2:
        raise usage(f"shard is {shard}", "give a pair: which part, from 0, of how many")
    return {
        "out": path_of(out, "out"),
        "count": whole_number(count, "count", 1_000_000),
        "shard": (numbers[0], numbers[1]),
        "seed": whole_number(seed, "seed", LAST_SEED),
        "label": None if label is None else whole_number(label, "label", LAST_LABEL),
        "guidance": None if guidance is None else real(guidance, "guidance"),
        "condition": None,
        "backend": word(backend, "backend"),
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
    def named(value: str | None, name: str) -> str | None:
        return None if value is None else word(value, name)

    return {
        "sampler": named(sampler, "sampler"),
        "variance": named(variance, "variance"),
        "steps": None if steps is None else whole_number(steps, "steps", 2**32 - 1),
        "spacing": named(spacing, "spacing"),
        "prev": named(prev, "prev"),
        "eta": None if eta is None else real(eta, "eta"),
        "clip": named(clip, "clip"),
    }
