"""Latents to representations: Gaussians, a mesh or a radiance field, as files people open or as stage files."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch

from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.geometry.mesh_cleanup import clean_mesh
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.gaussian_files import gaussian_bytes
from trellis_cli.io.mesh_files import mesh_bytes
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.open_stages import OpenStages
from trellis_cli.io.stage_files import Asset, StageGroup, open_stage
from trellis_cli.networks.heads import MeshDecoder
from trellis_cli.networks.slat_vae import SlatTransformer
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh
from trellis_cli.representations.radiance_field import RadianceField
from trellis_cli.shards import in_shard
from trellis_cli.stages.decode_files import Decoded, Source, names_a_file, write_files
from trellis_cli.stages.decode_stage_files import (
    RF_SUFFIX,
    field_asset,
    field_attributes,
    gaussian_asset,
    is_rf,
    mesh_asset,
    write_stage_files,
)
from trellis_cli.stages.painting import colours_at
from trellis_cli.stages.plan import Plan, decoding_plan
from trellis_cli.stages.resident import Networks, decide_keep
from trellis_ops.isosurface import isosurface

FORMATS = {"mesh": (".glb", ".obj", ".ply", ".stl"), "gaussians": (".ply", ".splat"), "radiance-field": ()}
DEFAULT_SUFFIX = {"mesh": ".glb", "gaussians": ".ply", "radiance-field": RF_SUFFIX}
NETWORKS = {"mesh": "slat_decoder_mesh", "gaussians": "slat_decoder_gs", "radiance-field": "slat_decoder_rf"}
MAX_FACES = 60_000


class Decoder:
    """One decoder of a model in memory. A mesh takes its colours from the model's Gaussians, if it has any: the mesh
    decoder's own, of which the loss thinks little, come late. (The published pipeline bakes Gaussians too.)

    Networks are loaded when they are first used. `keep`: both of a mesh stay in memory; without, they take turns.
    """

    def __init__(
        self,
        model: ModelFolder,
        kind: str,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        keep: bool = True,
    ) -> None:
        self.kind, self.device = kind, device
        self.keys = decoder_keys(model, kind)
        self._networks = Networks(model, device=device, dtype=dtype, keep=keep)

    @property
    def network(self) -> SlatTransformer:
        """The decoder of `kind`, in memory."""
        return cast(SlatTransformer, self._networks(self.keys[0]))

    def latents(self, group: StageGroup, index: int) -> Packed:
        """The latents of one asset of an open file.

        Raises:
            FileError: no voxels, or latents of a grid or a width that the model was not made for.
        """
        asset, network = group.asset(index), self.network
        coords, feats = torch.from_numpy(asset["coords"]).int(), torch.from_numpy(asset["feats"])
        if not len(coords):
            raise FileError(f"{group.path}: asset {index} has no voxels", hint="sample it anew with another --seed")
        found = (int(group.attrs["resolution"]), feats.shape[1])
        wanted = (network.resolution, network.in_channels)
        if found != wanted:
            raise FileError(
                f"{group.path} holds latents of {found[1]} channels at {found[0]}^3, the model takes {wanted[1]} at "
                f"{wanted[0]}^3",
                hint="give the --model that made them; `trellis inspect` names it",
            )
        return Packed(feats, coords, torch.tensor([0, len(coords)]))

    @torch.no_grad()
    def gaussians(self, latents: Packed) -> Gaussians:
        """The Gaussians of one asset; of a decoder of meshes, those that paint them."""
        return self._networks(self.keys[-1])(latents.to(self.device))[0]

    @torch.no_grad()
    def radiance_field(self, latents: Packed) -> RadianceField:
        """The radiance field of one asset."""
        return self.network(latents.to(self.device))[0]

    @torch.no_grad()
    def mesh(self, latents: Packed, *, max_faces: int | None = MAX_FACES, clean: bool = True) -> Mesh:
        """The mesh of one asset, without specks and with at most `max_faces` faces.

        Raises:
            TrellisError: the decoder's field crosses zero nowhere.
        """
        mesh = self._surface(latents)
        mesh = clean_mesh(mesh, max_faces=max_faces) if clean else mesh
        if len(self.keys) > 1:
            mesh = replace(mesh, colours=colours_at(mesh.vertices, self.gaussians(latents)))
        return mesh

    def _surface(self, latents: Packed) -> Mesh:
        """As the network gives it. The fields, by far the largest of all, are gone when this returns."""
        network = self.network
        assert isinstance(network, MeshDecoder)
        fields = network(latents.to(self.device))[0]
        surface = isosurface(
            fields.coords,
            fields.sdf,
            fields.deform,
            fields.weights,
            fields.attributes,
            resolution=network.fine_resolution,
        )
        if not len(surface.faces):
            raise TrellisError(
                "the mesh decoder found no surface", hint="decode --format gaussians, or sample with another seed"
            )
        colours, normals = surface.attributes[:, :3].clamp(0, 1), surface.attributes[:, 3:] * 2 - 1
        return Mesh(surface.vertices.cpu(), surface.faces.cpu(), colours.cpu(), normals.cpu())


def decoder_keys(model: ModelFolder, kind: str) -> list[str]:
    """The networks that decode to a kind, in the order of their use: a mesh's painter comes last."""
    paints = kind == "mesh" and model.has(NETWORKS["gaussians"])
    return [NETWORKS[kind], *([NETWORKS["gaussians"]] if paints else [])]


def decode(
    inputs: Sequence[Path],
    model: ModelFolder,
    *,
    kind: str | None = None,
    out: Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    keep_loaded: bool | None = None,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Decoded:
    """Decode every asset of every input file.

    Args:
        kind: "mesh", "gaussians" or "radiance-field"; taken from `out`'s name when not given, "mesh" where that does
            not tell.
        out: a file for one asset, a folder, or a .h5 stage file; by default beside each input, `x.slat.h5` to `x.glb`.
            Radiance fields go to stage files alone, by default one beside each input, `x.slat.h5` to `x.rf.h5`.
        keep_loaded: keep both networks of a mesh in memory; see `resident.decide_keep`.
        shard: (i, n) decodes the assets of this part alone, by the hash of their ids; of radiance fields without a
            file to put them in, the inputs of this part.

    Raises:
        UsageError: formats that contradict, one file name for several assets, or another file in the way.
        TrellisError: the error of the only asset there was, as it came: no stage file with /slat, latents that the
            model was not made for, no surface.
        SomeFailed: some of several assets or inputs failed; the others are written.
    """
    kind = resolve_kind(kind, out)
    one_file = out is not None and names_a_file(out) and out.suffix.lower() != ".h5"
    if one_file and len(inputs) > 1:
        raise UsageError(f"-o {out} names one file for {len(inputs)} inputs", hint="leave -o out, or name a folder")

    @cache
    def decoder() -> Decoder:  # not before something is to be done
        keep = decide_keep(keep_loaded, model, decoder_keys(model, kind), len(sources), device, dtype)
        return Decoder(model, kind, device=device, dtype=dtype, keep=keep)

    sources: list[Source] = []
    with OpenStages() as opened:
        bad: list[tuple[str, TrellisError]] = []
        for path in inputs:
            try:
                group = opened.group(path, "slat")
            except FileError as error:
                bad.append((str(path), error))
            else:
                sources += [Source(path, group, index) for index in range(len(group))]
                if one_file and not len(group):
                    bad.append((str(path), FileError(f"{path} holds no asset", hint="nothing to decode")))
        if kind == "radiance-field" or (out is not None and names_a_file(out) and out.suffix.lower() == ".h5"):
            attrs = field_attributes(model.stem(NETWORKS[kind])) if kind == "radiance-field" else {}
            return write_stage_files(
                sources, lambda source: _stage_asset(decoder(), source), kind.replace("-", "_"), attrs,
                _parameters(model, kind, dtype), model.provenance, inputs, out,
                bad=bad, shard=shard, overwrite=overwrite, retry_failed=retry_failed,
            )  # fmt: skip
        sources = [source for source in sources if in_shard(source.id, shard)]
        suffix = out.suffix.lower() if out is not None and names_a_file(out) else DEFAULT_SUFFIX[kind]
        parameters = {**_parameters(model, kind, dtype), "max_faces": MAX_FACES, "suffix": suffix}

        def content(source: Source, work: str) -> bytes:
            latents = decoder().latents(source.group, source.index)
            if kind == "mesh":
                return mesh_bytes(decoder().mesh(latents), suffix, work=work)
            return gaussian_bytes(decoder().gaussians(latents), suffix, work=work)

        return write_files(
            sources, content, parameters | {"weights": model.digest}, inputs, out, suffix,
            bad=bad, shard=shard, overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip


def decode_plan(
    inputs: Sequence[Path],
    model: ModelFolder,
    *,
    kind: str | None = None,
    out: Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    keep_loaded: bool | None = None,
) -> Plan:
    """What `decode` would do with the same arguments. Raises UsageError, FileError."""
    keys = decoder_keys(model, resolve_kind(kind, out))
    voxels: list[int] = []
    for path in inputs:
        with open_stage(path) as file:
            voxels += file.group("slat").lengths.tolist()
    return decoding_plan(model, keys, device=device, dtype=dtype, voxels=voxels, keep_loaded=keep_loaded)


def _stage_asset(decoder: Decoder, source: Source) -> Asset:
    latents = decoder.latents(source.group, source.index)
    if decoder.kind == "mesh":
        return mesh_asset(source.id, decoder.mesh(latents))
    if decoder.kind == "gaussians":
        return gaussian_asset(source.id, decoder.gaussians(latents))
    return field_asset(source.id, decoder.radiance_field(latents))


def resolve_kind(kind: str | None, out: Path | None) -> str:
    """What to decode to, from --format and the output's extension. Raises UsageError where they contradict."""
    suffix = out.suffix.lower() if out is not None and names_a_file(out) else ""
    if kind is not None and kind not in FORMATS:
        raise UsageError(f"--format {kind!r} is not known", hint=f"one of: {', '.join(FORMATS)}")
    if kind is None and suffix:
        kind = {".splat": "gaussians"}.get(suffix) or ("radiance-field" if out and is_rf(out) else None)
    kind = kind or "mesh"
    if suffix and suffix != ".h5" and suffix not in FORMATS[kind]:
        where = f"{', '.join(FORMATS[kind])} or .h5" if FORMATS[kind] else ".h5, and `trellis view` shows it"
        raise UsageError(f"-o {out}: {kind} cannot be written as {suffix}", hint=f"{kind} goes to {where}")
    return kind


def _parameters(model: ModelFolder, kind: str, dtype: torch.dtype) -> dict[str, Any]:
    return {"model": model.id, "format": kind, "dtype": str(dtype).removeprefix("torch.")}
