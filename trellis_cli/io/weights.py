"""Weights files (.safetensors), read one weight at a time: a network in memory costs its own size and little more."""

import json
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trellis_cli.errors import FileError, first_line
from trellis_cli.io.quantised import SCALE, dequantised

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
}  # fmt: skip


class StoredWeights(Mapping[str, Tensor]):
    """The weights of a file, each read when it is asked for: floats as they are stored, int8 ones as float32.

    Read, not mapped: the pages of a mapped file count as this process's memory beside the weights made of them.
    `shapes`, `dtypes` and `num_bytes` need the file's header alone.

    Raises:
        FileError: no safetensors file, one that is cut short, or with numbers of a kind no network has.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="pt"):  # checks the header against the file's size
                pass
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(length))
        except (SafetensorError, OSError, ValueError) as error:
            raise FileError(
                f"{path} is no whole safetensors file: {first_line(error)}", hint="fetch the model anew"
            ) from error
        header.pop("__metadata__", None)
        self._header = {name: (e["dtype"], tuple(e["shape"]), e["data_offsets"]) for name, e in header.items()}
        self._start = 8 + length
        if unknown := sorted({dtype for dtype, _, _ in self._header.values()} - _DTYPES.keys()):
            raise FileError(f"{path} holds numbers of the kind {unknown[0]}", hint="fetch the model anew")
        self._names = [k for k in self._header if not (k.endswith(SCALE) and k.removesuffix(SCALE) in self._header)]

    def __getitem__(self, key: str) -> Tensor:
        scale = key + SCALE
        return dequantised(self._read(key), self._read(scale)) if scale in self._header else self._read(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: self._header[name][1] for name in self._names}

    @property
    def dtypes(self) -> dict[str, str]:
        """What each is stored as, in safetensors' words: F32, F16, BF16, I8, ..."""
        return {name: self._header[name][0] for name in self._names}

    @property
    def num_bytes(self) -> int:
        """Of all weights, as they are stored."""
        return sum(end - start for _, _, (start, end) in self._header.values())

    def _read(self, name: str) -> Tensor:
        dtype, shape, (start, end) = self._header[name]
        if not prod(shape):
            return torch.empty(shape, dtype=_DTYPES[dtype])
        buffer = bytearray(end - start)
        with self.path.open("rb") as file:
            file.seek(self._start + start)
            if file.readinto(buffer) != len(buffer):
                raise FileError(f"{self.path} has become shorter while it was read", hint="fetch the model anew")
        return torch.frombuffer(buffer, dtype=_DTYPES[dtype]).view(shape)
