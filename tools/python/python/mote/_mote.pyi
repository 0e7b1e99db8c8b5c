"""The compiled part. Arrays cross as bytes; `mote.Model` makes them NumPy arrays."""

import builtins
import os
from collections.abc import Callable
from typing import Any, TypedDict

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

Progress = Callable[[int], Any] | None

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
    def null_class(self) -> int | None: ...
    def train_steps(self) -> int: ...
    def inspect(self) -> str: ...
    def fit(self, board: str) -> str: ...
    def report(self) -> str: ...
    def planned(self, steps: Steps) -> Model: ...
    def sample(
        self,
        seeds: list[int],
        steps: Steps,
        labels: list[int] | None,
        guidance: float | None,
        condition: list[list[float]] | None,
        noise: bytes | None,
        image: bytes | None,
        strength: float,
        backend: str,
        progress: Progress,
    ) -> tuple[list[str], bytearray, bytearray]: ...
    def predict(
        self,
        states: bytes,
        timesteps: list[float],
        labels: list[int] | None,
        condition: list[list[float]] | None,
    ) -> bytearray: ...
    def validate(
        self,
        backends: list[str],
        seeds: int,
        steps: Steps,
        label: int | None,
        guidance: float | None,
        condition: list[list[float]] | None,
    ) -> str: ...
    def requantized(self, checkpoint: str | os.PathLike[str]) -> Model: ...
    def rounded(self, checkpoint: str | os.PathLike[str]) -> dict[str, tuple[builtins.bytes, builtins.bytes, builtins.bytes]]: ...
    def compare(
        self, checkpoint: str | os.PathLike[str], seeds: int, steps: Steps, label: int | None
    ) -> str: ...

def convert(
    source: str | os.PathLike[str],
    scheme: str,
    board: str | None = None,
    name: str | None = None,
    progress: Progress = None,
) -> Model: ...
def boards() -> list[str]: ...
def layout(checkpoint: str | os.PathLike[str]) -> list[int]: ...
def merge(parts: list[str], out: str | None = None) -> str: ...

class Part(TypedDict):
    out: str
    count: int
    shard: tuple[int, int]
    seed: int
    label: int | None
    guidance: float | None
    backend: str

def sample_part(model: Model, part: Part, steps: Steps, progress: Progress) -> int: ...
def statistics(
    model: Model, checkpoint: str, part: Part, steps: Steps, network: str, data: str | None
) -> tuple[int, int]: ...
