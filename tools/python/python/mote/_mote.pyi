"""The compiled part. Arrays come in as NumPy's and go out as bytes, which `mote.Model` makes NumPy arrays of."""

import builtins
import os
from collections.abc import Callable
from typing import Any, TypedDict, final

import numpy as np

__version__: str

class MoteError(Exception):
    """What could not be done. `advice` says what to do about it, `code` (such as MOTE-1101) where it is told of."""

    advice: str | None
    code: str | None

class UsageError(MoteError): ...
class InputError(MoteError): ...
class OutputError(MoteError): ...
class RefusedError(MoteError): ...
class TooLargeError(MoteError): ...
class UnavailableError(MoteError): ...
class FailedError(MoteError): ...

class Steps(TypedDict):
    sampler: str | None
    variance: str | None
    steps: int | None
    spacing: str | None
    prev: str | None
    eta: float | None
    clip: str | None

class Of(TypedDict):
    label: int | None
    guidance: float | None
    condition: list[list[float]] | None

class Beginning(TypedDict):
    noise: np.ndarray | None
    image: np.ndarray | None
    mask: list[bool] | None
    strength: float | None
    second: int | None
    factor: tuple[list[float | None], float] | None

class Asked(TypedDict):
    scheme: str
    board: str | None
    flash: str | None
    ram: str | None
    core: str | None
    clock: str | None
    profile: str | None
    arena: str | None
    refine: bool
    name: str | None
    null_class: int | None
    labels: int | None
    calibration: str | None
    condition_range: tuple[float, float] | None
    condition_null: float | None
    latent: tuple[int, int] | None
    keep_variances: bool
    strip: bool
    report: str | None
    report_folder: str | None

Progress = Callable[[int], Any] | None

@final
class Model:
    @staticmethod
    def from_bytes(bytes: bytes) -> Model: ...
    @staticmethod
    def open(path: str | os.PathLike[str]) -> Model: ...
    def bytes(self) -> bytes: ...
    def write(self, path: str | os.PathLike[str]) -> None: ...
    def shape(self) -> tuple[int, int, int]: ...
    def picture_shape(self) -> tuple[int, int, int]: ...
    def condition_len(self) -> int: ...
    def condition_range(self) -> tuple[float, float] | None: ...
    def null_class(self) -> int | None: ...
    def train_steps(self) -> int: ...
    def steps(self, steps: Steps) -> int: ...
    def inspect(self) -> str: ...
    def fit(self, board: str) -> str: ...
    def report(self) -> str: ...
    def card(self) -> str: ...
    def planned(self, steps: Steps) -> Model: ...
    def sample(
        self,
        seeds: list[int],
        steps: Steps,
        labels: list[int] | None,
        guidance: float | None,
        condition: list[list[float]] | None,
        beginning: Beginning,
        backend: str,
        progress: Progress,
    ) -> tuple[list[str], bytearray, bytearray]: ...
    def predict(
        self,
        states: np.ndarray,
        timesteps: list[float],
        labels: list[int] | None,
        condition: list[list[float]] | None,
        between: bool,
    ) -> bytearray: ...
    def decode(self, latents: np.ndarray, backend: str) -> tuple[list[str], bytearray]: ...
    def validate(self, backends: list[str], seeds: int, steps: Steps, asked: Of) -> str: ...
    def compare(
        self, checkpoint: str | os.PathLike[str], seeds: int, steps: Steps, asked: Of, network: str
    ) -> str: ...
    def requantized(self, checkpoint: str | os.PathLike[str]) -> Model: ...
    def rounded(self, checkpoint: str | os.PathLike[str]) -> dict[str, tuple[builtins.bytes, builtins.bytes, builtins.bytes]]: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __sizeof__(self) -> int: ...

def convert(
    source: str | os.PathLike[str], asked: Asked, progress: Progress = None
) -> tuple[Model, list[str], str | None]: ...
def boards() -> list[str]: ...
def layout(checkpoint: str | os.PathLike[str]) -> list[int]: ...
def png(pixels: np.ndarray, columns: int | None, zoom: int) -> builtins.bytes: ...
def write_png(path: str, pixels: np.ndarray, columns: int | None, zoom: int) -> None: ...
def write_page(path: str | os.PathLike[str], page: str) -> None: ...
def policy(path: str | os.PathLike[str] | None = None, text: str | None = None) -> str: ...
def merge(parts: list[str], out: str | None = None) -> str: ...

class Part(TypedDict):
    out: str
    count: int
    shard: tuple[int, int]
    seed: int
    label: int | None
    guidance: float | None
    condition: list[list[float]] | None
    backend: str

def sample_part(model: Model, part: Part, steps: Steps, beginning: Beginning, progress: Progress) -> int: ...
def statistics(
    model: Model, checkpoint: str, part: Part, steps: Steps, network: str, data: str | None
) -> tuple[int, int]: ...
