"""Latents to representations: Gaussians or a mesh, as files people open or as stage files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.geometry.mesh_cleanup import clean_mesh
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.digests import file_digest
from trellis_cli.io.gaussian_files import write_gaussians
from trellis_cli.io.mesh_files import write_mesh
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import Asset, Provenance, open_stage, with_ids
from trellis_cli.networks.heads import MeshDecoder
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh
from trellis_cli.session import Item, run_batch
from trellis_ops.isosurface import isosurface

FORMATS = {"mesh": (".glb", ".obj", ".ply", ".stl"), "gaussians": (".ply", ".splat")}
MAX_FACES = 60_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was written for one input file."""

    files: tuple[Path, ...]
    skipped: int

    @property
    def text(self) -> str:
        where = str(self.files[0]) if len(self.files) == 1 else f"{len(self.files)} files in {self.files[0].parent}"
        return where + (f" ({self.skipped} done already)" if self.skipped else "")


class Decoder:
    """One decoder of a model in memory."""

    def __init__(
        self, model: ModelFolder, kind: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.kind, self.device = kind, device
        self.network: nn.Module = model.load(
            {"mesh": "slat_decoder_mesh", "gaussians": "slat_decoder_gs"}[kind], device=device, dtype=dtype
        )

    @torch.no_grad()
    def gaussians(self, latents: Packed) -> Gaussians:
        """The Gaussians of one asset."""
        return self.network(latents.to(self.device))[0]

    @torch.no_grad()
    def mesh(self, latents: Packed, *, max_faces: int | None = MAX_FACES, clean: bool = True) -> Mesh:
        """The mesh of one asset, without specks and with at most `max_faces` faces.

        Raises:
            TrellisError: the decoder's field crosses zero nowhere.
        """
        assert isinstance(self.network, MeshDecoder)
        fields = self.network(latents.to(self.device))[0]
        surface = isosurface(
            fields.coords,
            fields.sdf,
            fields.deform,
            fields.weights,
            fields.attributes,
            resolution=self.network.fine_resolution,
        )
        if not len(surface.faces):
            raise TrellisError(
                "the mesh decoder found no surface", hint="decode --format gaussians, or sample with another seed"
            )
        colours, normals = surface.attributes[:, :3].clamp(0, 1), surface.attributes[:, 3:] * 2 - 1
        mesh = Mesh(surface.vertices.cpu(), surface.faces.cpu(), colours.cpu(), normals.cpu())
        return clean_mesh(mesh, max_faces=max_faces) if clean else mesh


def decode(
    inputs: Sequence[Path],
    model: ModelFolder,
    *,
    kind: str | None = None,
    out: Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    overwrite: bool = False,
) -> list[Decoded]:
    """Decode every asset of every input file.

    Args:
        kind: "mesh" or "gaussians"; taken from `out`'s extension when not given, "mesh" where that does not tell.
        out: a file for one asset, a folder, or a .h5 stage file; by default beside each input, `x.slat.h5` to `x.glb`.

    Raises:
        UsageError: formats that contradict, or one file name for several assets.
        FileError: an input that is not a stage file with /slat, or latents the model was not made for.
    """
    kind = resolve_kind(kind, out)
    for path in inputs:
        with open_stage(path) as file:
            file.group("slat")
    if out is not None and out.suffix == ".h5":
        return [_to_stage_file(inputs, model, kind, out, device, dtype, overwrite)]
    if out is not None and out.suffix and len(inputs) > 1:
        raise UsageError(f"-o {out} names one file for {len(inputs)} inputs", hint="leave -o out, or name a folder")
    decoder: list[Decoder] = []

    def lazy() -> Decoder:
        if not decoder:
            decoder.append(Decoder(model, kind, device=device, dtype=dtype))
        return decoder[0]

    return [_decode_file(path, lazy, kind, out, overwrite) for path in inputs]


def resolve_kind(kind: str | None, out: Path | None) -> str:
    """What to decode to, from --format and the output's extension. Raises UsageError where they contradict."""
    suffix = out.suffix.lower() if out is not None else ""
    if kind is not None and kind not in FORMATS:
        raise UsageError(f"--format {kind!r} is not known", hint=f"one of: {', '.join(FORMATS)}")
    if kind is None:
        kind = "gaussians" if suffix == ".splat" else "mesh"
    if suffix and suffix != ".h5" and suffix not in FORMATS[kind]:
        raise UsageError(
            f"-o {out}: {kind} cannot be written as {suffix}", hint=f"{kind} go to {', '.join(FORMATS[kind])} or .h5"
        )
    return kind


def _decode_file(path: Path, decoder, kind: str, out: Path | None, overwrite: bool) -> Decoded:
    suffix = ".glb" if kind == "mesh" else ".ply"
    with open_stage(path) as file:
        group = file.group("slat")
        if not len(group):
            raise FileError(f"{path} holds no asset", hint="nothing to decode")
        stem = path.name.removesuffix(".h5").removesuffix(".slat")
        if len(group) == 1:
            folder = out is not None and not out.suffix
            targets = [out / (stem + suffix) if folder and out else out or path.with_name(stem + suffix)]
        elif out is not None and out.suffix:
            raise UsageError(
                f"-o {out} names one file, but {path} holds {len(group)} assets", hint="leave -o out, or name a folder"
            )
        else:
            targets = [(out or path.with_name(stem)) / f"{id_}{suffix}" for id_ in group.ids]
        skipped = 0
        for index, target in enumerate(targets):
            if target.exists() and not overwrite:
                raise UsageError(f"{target} exists", hint="pass --overwrite to replace it, or choose another -o")
            _write(target, decoder(), kind, _latents(group, index))
    return Decoded(tuple(targets), skipped)


def _latents(group, index: int) -> Packed:
    asset = group.asset(index)
    coords, feats = torch.from_numpy(asset["coords"]).int(), torch.from_numpy(asset["feats"])
    if not len(coords):
        raise FileError(f"{group.path}: asset {index} has no voxels", hint="sample it anew with another --seed")
    return Packed(feats, coords, torch.tensor([0, len(coords)]))


def _write(target: Path, decoder: Decoder, kind: str, latents: Packed) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind == "mesh":
        write_mesh(target, decoder.mesh(latents))
    else:
        write_gaussians(target, decoder.gaussians(latents))


def _to_stage_file(
    inputs: Sequence[Path], model: ModelFolder, kind: str, out: Path, device: str, dtype: torch.dtype, overwrite: bool
) -> Decoded:
    """All assets into one /gaussians or /mesh file."""
    items = []
    for path in inputs:
        with open_stage(path) as file:
            items += [Item(id_, f"{path.name}:{i}", (path, i)) for i, id_ in enumerate(file.group("slat").ids)]
    decoder = Decoder(model, kind, device=device, dtype=dtype)

    def work(item: Item) -> dict[str, Asset]:
        with open_stage(item.payload[0]) as file:
            latents = _latents(file.group("slat"), item.payload[1])
        if kind == "mesh":
            mesh = decoder.mesh(latents)
            assert mesh.colours is not None
            return {"mesh": with_ids(
                item.id, lengths=len(mesh.vertices), face_lengths=len(mesh.faces),
                vertices=mesh.vertices.float().numpy(), faces=mesh.faces.int().numpy(),
                colours=mesh.colours.float().numpy(),
            )}  # fmt: skip
        g = decoder.gaussians(latents)
        return {"gaussians": with_ids(
            item.id, lengths=len(g), means=g.means.numpy(), quats=g.quats.numpy(), scales=g.scales.numpy(),
            opacities=g.opacities.numpy(), sh=g.sh.numpy(),
        )}  # fmt: skip

    parameters = {"model": model.id, "format": kind, "dtype": str(dtype).removeprefix("torch.")}
    provenance = Provenance(
        "decode", parameters, inputs=[(file_digest(p), p.name) for p in inputs], model=model.provenance
    )
    summary = run_batch(items, work, out, provenance, {kind: {}}, overwrite=overwrite)
    return Decoded((out,), 0 if summary.done else summary.kept)
