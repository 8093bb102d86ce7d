"""Latents to representations: Gaussians or a mesh, as files people open or as stage files."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch

from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.geometry.mesh_cleanup import clean_mesh
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.digests import file_digest
from trellis_cli.io.gaussian_files import gaussian_bytes
from trellis_cli.io.mesh_files import mesh_bytes
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import Asset, Provenance, StageGroup, open_stage, with_ids
from trellis_cli.networks.heads import MeshDecoder
from trellis_cli.networks.slat_vae import SlatTransformer
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh
from trellis_cli.session import Item, run_batch
from trellis_cli.stages.decode_files import Decoded, Source, names_a_file, write_files
from trellis_cli.stages.painting import colours_at
from trellis_ops.isosurface import isosurface

FORMATS = {"mesh": (".glb", ".obj", ".ply", ".stl"), "gaussians": (".ply", ".splat")}
DEFAULT_SUFFIX = {"mesh": ".glb", "gaussians": ".ply"}
MAX_FACES = 60_000


class Decoder:
    """One decoder of a model in memory. A mesh takes its colours from the model's Gaussians, if it has any: the mesh
    decoder's own, of which the loss thinks little, come late. (The published pipeline bakes Gaussians too.)"""

    def __init__(
        self, model: ModelFolder, kind: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.kind, self.device = kind, device
        self.network = cast(
            SlatTransformer,
            model.load({"mesh": "slat_decoder_mesh", "gaussians": "slat_decoder_gs"}[kind], device=device, dtype=dtype),
        )
        paints = kind == "mesh" and "slat_decoder_gs" in model.pipeline.get("models", {})
        self.painter = Decoder(model, "gaussians", device=device, dtype=dtype) if paints else None

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
        mesh = clean_mesh(mesh, max_faces=max_faces) if clean else mesh
        if self.painter is not None:
            mesh = replace(mesh, colours=colours_at(mesh.vertices, self.painter.gaussians(latents)))
        return mesh


def decode(
    inputs: Sequence[Path],
    model: ModelFolder,
    *,
    kind: str | None = None,
    out: Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Decoded:
    """Decode every asset of every input file.

    Args:
        kind: "mesh" or "gaussians"; taken from `out`'s extension when not given, "mesh" where that does not tell.
        out: a file for one asset, a folder, or a .h5 stage file; by default beside each input, `x.slat.h5` to `x.glb`.

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
        return Decoder(model, kind, device=device, dtype=dtype)

    with ExitStack() as stack:
        sources: list[Source] = []
        bad: list[tuple[str, TrellisError]] = []
        for path in inputs:
            try:
                group = stack.enter_context(open_stage(path)).group("slat")
            except FileError as error:
                bad.append((str(path), error))
            else:
                sources += [Source(path, group, index) for index in range(len(group))]
                if one_file and not len(group):
                    bad.append((str(path), FileError(f"{path} holds no asset", hint="nothing to decode")))
        if out is not None and names_a_file(out) and out.suffix.lower() == ".h5":
            return _to_stage_file(sources, bad, model, kind, out, decoder, dtype, overwrite, retry_failed)
        suffix = out.suffix.lower() if out is not None and names_a_file(out) else DEFAULT_SUFFIX[kind]
        parameters = {**_parameters(model, kind, dtype), "max_faces": MAX_FACES, "suffix": suffix}

        def content(source: Source, work: str) -> bytes:
            latents = decoder().latents(source.group, source.index)
            if kind == "mesh":
                return mesh_bytes(decoder().mesh(latents), suffix, work=work)
            return gaussian_bytes(decoder().gaussians(latents), suffix, work=work)

        return write_files(
            sources, content, parameters | {"weights": model.digest}, inputs, out, suffix,
            bad=bad, overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip


def resolve_kind(kind: str | None, out: Path | None) -> str:
    """What to decode to, from --format and the output's extension. Raises UsageError where they contradict."""
    suffix = out.suffix.lower() if out is not None and names_a_file(out) else ""
    if kind is not None and kind not in FORMATS:
        raise UsageError(f"--format {kind!r} is not known", hint=f"one of: {', '.join(FORMATS)}")
    if kind is None:
        kind = "gaussians" if suffix == ".splat" else "mesh"
    if suffix and suffix != ".h5" and suffix not in FORMATS[kind]:
        raise UsageError(
            f"-o {out}: {kind} cannot be written as {suffix}", hint=f"{kind} go to {', '.join(FORMATS[kind])} or .h5"
        )
    return kind


def _parameters(model: ModelFolder, kind: str, dtype: torch.dtype) -> dict[str, Any]:
    return {"model": model.id, "format": kind, "dtype": str(dtype).removeprefix("torch.")}


def _to_stage_file(
    sources: Sequence[Source],
    bad: Sequence[tuple[str, TrellisError]],
    model: ModelFolder,
    kind: str,
    out: Path,
    decoder: Callable[[], Decoder],
    dtype: torch.dtype,
    overwrite: bool,
    retry_failed: bool,
) -> Decoded:
    """All assets into one /gaussians or /mesh file."""

    def work(item: Item) -> dict[str, Asset]:
        latents = decoder().latents(item.payload.group, item.payload.index)
        if kind == "mesh":
            mesh = decoder().mesh(latents)
            assert mesh.colours is not None
            return {"mesh": with_ids(
                item.id, lengths=len(mesh.vertices), face_lengths=len(mesh.faces),
                vertices=mesh.vertices.float().numpy(), faces=mesh.faces.int().numpy(),
                colours=mesh.colours.float().numpy(),
            )}  # fmt: skip
        g = decoder().gaussians(latents)
        return {"gaussians": with_ids(
            item.id, lengths=len(g), means=g.means.cpu().numpy(), quats=g.quats.cpu().numpy(),
            scales=g.scales.cpu().numpy(), opacities=g.opacities.cpu().numpy(), sh=g.sh.cpu().numpy(),
        )}  # fmt: skip

    paths = dict.fromkeys(source.path for source in sources)
    provenance = Provenance(
        "decode", _parameters(model, kind, dtype), inputs=[(file_digest(p), p.name) for p in paths],
        model=model.provenance,
    )  # fmt: skip
    summary = run_batch(
        [Item(source.id, source.name, source) for source in sources], work, out, provenance, {kind: {}},
        overwrite=overwrite, retry_failed=retry_failed, bad_inputs=bad,
    )  # fmt: skip
    return Decoded((out,), summary.done, summary.kept)
