"""Weights files (.safetensors), read one weight at a time: a network in memory costs its own size and little more."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from trellis_cli.errors import FileError
from trellis_cli.io.quantised import SCALE, dequantised


class StoredWeights(Mapping[str, Tensor]):
    """The weights of a file, each read when it is asked for: floats as they are stored, int8 ones as float32.

    The file is mapped, not read; `shapes` and `dtypes` need its header alone.

    Raises:
        FileError: no safetensors file, or one that is cut short.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: Any = safe_open(path, framework="pt")  # a mapping: a cut file is told here
        except (SafetensorError, OSError) as error:
            raise FileError(
                f"{path} is no whole safetensors file: {_first_line(error)}", hint="fetch the model anew"
            ) from error
        names = list(self._file.keys())
        there = set(names)
        self._names = [n for n in names if not (n.endswith(SCALE) and n.removesuffix(SCALE) in there)]
        self._scaled = {n for n in self._names if n + SCALE in there}

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._names:
            raise KeyError(key)
        value = self._file.get_tensor(key)
        return dequantised(value, self._file.get_tensor(key + SCALE)) if key in self._scaled else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(self._file.get_slice(name).get_shape()) for name in self._names}

    @property
    def dtypes(self) -> dict[str, str]:
        """What each is stored as, in safetensors' words: F32, F16, BF16, I8, ..."""
        return {name: self._file.get_slice(name).get_dtype() for name in self._names}


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
