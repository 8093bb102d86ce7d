"""Decoded assets as stage files: what of a representation goes into them, and where each goes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trellis_cli.errors import NO_ITEMS_FAULT, SomeFailed, TrellisError, UsageError
from trellis_cli.io.digests import file_digest
from trellis_cli.io.model_folders import read_network_json
from trellis_cli.io.stage_files import Asset, Provenance, with_ids
from trellis_cli.ledger import Ledger, ledger_row
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh
from trellis_cli.representations.radiance_field import RadianceField
from trellis_cli.session import Batch, Item, run_batches
from trellis_cli.shards import in_shard
from trellis_cli.stages.decode_files import Decoded, Source, names_a_file

RF_SUFFIX = ".rf.h5"


def is_rf(path: Path) -> bool:
    """Whether a file's name says that it holds radiance fields."""
    return path.name.lower().endswith(RF_SUFFIX)


def mesh_asset(id_: str, mesh: Mesh) -> Asset:
    assert mesh.colours is not None
    return with_ids(
        id_, lengths=len(mesh.vertices), face_lengths=len(mesh.faces), vertices=mesh.vertices.float().numpy(),
        faces=mesh.faces.int().numpy(), colours=mesh.colours.float().numpy(),
    )  # fmt: skip


def gaussian_asset(id_: str, g: Gaussians) -> Asset:
    return with_ids(
        id_, lengths=len(g), means=g.means.cpu().numpy(), quats=g.quats.cpu().numpy(),
        scales=g.scales.cpu().numpy(), opacities=g.opacities.cpu().numpy(), sh=g.sh.cpu().numpy(),
    )  # fmt: skip


def field_asset(id_: str, f: RadianceField) -> Asset:
    return with_ids(
        id_, lengths=len(f), coords=f.coords.short().cpu().numpy(), factors=f.factors.cpu().numpy(),
        density=f.density.cpu().numpy(), colours=f.colours.cpu().numpy(),
    )  # fmt: skip


def field_attributes(stem: Path) -> dict[str, Any]:
    """The attributes of /radiance_field, from the decoder's .json. Raises MissingError, FileError."""
    return {"resolution": int(read_network_json(stem)[1]["resolution"])}


def write_stage_files(
    sources: Sequence[Source],
    asset: Callable[[Source], Asset],
    group: str,
    attrs: Mapping[str, Any],
    parameters: Mapping[str, Any],
    model: Mapping[str, str],
    inputs: Sequence[Path],
    out: Path | None,
    *,
    bad: Sequence[tuple[str, TrellisError]] = (),
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Decoded:
    """All assets into one file where `out` names one; else those of each input into `x.rf.h5`, beside it or in `out`.

    Args:
        asset: decodes one.
        attrs: the group's attributes.
        bad: inputs that could not be opened.
        shard: whose sources these are; where each input has an output of its own, a shard takes whole inputs, by the
            hash of their first asset's id.

    Raises:
        UsageError: two inputs of one output, or another file in the way.
        TrellisError: the error of the only asset there was.
        SomeFailed: some of several failed; the others are written.
    """

    def batch_of(target: Path, own: Sequence[Source], paths: Sequence[Path], bad: Sequence[tuple[str, TrellisError]]):
        provenance = Provenance(
            "decode", parameters, inputs=[(file_digest(p), p.name) for p in paths], model=model
        )  # fmt: skip
        return Batch(
            [Item(source.id, source.name, source) for source in own], lambda item: {group: asset(item.payload)},
            target, provenance, {group: attrs},
            overwrite=overwrite, retry_failed=retry_failed, bad_inputs=bad, shard=shard,
        )  # fmt: skip

    if out is not None and names_a_file(out):
        sources = [source for source in sources if in_shard(source.id, shard)]
        whole = batch_of(out, sources, list(dict.fromkeys(s.path for s in sources)), bad)
        (whole,) = run_batches([whole], what="trellis decode")
        summary = whole.finish()
        return Decoded((out,), summary.done, summary.kept)
    single = len(inputs) == 1 and shard[1] == 1
    if single and bad:
        raise bad[0][1]
    held: dict[Path, list[Source]] = {path: [] for path in inputs if str(path) not in dict(bad)}
    for source in sources:
        held[source.path].append(source)
    # An input without assets is in every shard.
    targets = _targets([p for p, its in held.items() if not its or in_shard(its[0].id, shard)], out)
    place = inputs[0].parent / "decode" if out is None else out
    ledger = Ledger.beside(place, "decode", shard)
    given = {str(path) for path in inputs}
    rows = {id_: row for id_, row in ledger.read().items() if id_ not in given}
    failures = {name: ledger_row(name, name, error) for name, error in bad}
    batches = {batch_of(target, held[path], [path], ()): path for target, path in targets.items()}
    written, done, kept = set(), 0, 0
    for batch in run_batches(list(batches), what="trellis decode"):
        path = batches[batch]
        try:
            summary = batch.finish()
        except NO_ITEMS_FAULT:
            raise
        except TrellisError as error:
            if single:
                raise
            failures[str(path)] = ledger_row(str(path), path.name, error)
            ledger.write(rows | failures)
            if isinstance(error, SomeFailed) and batch.out.exists():  # the assets that could be decoded are there
                written.add(batch.out)
        else:
            written.add(batch.out)
            done, kept = done + summary.done, kept + summary.kept
    ledger.write(rows | failures)
    if failures:
        raise SomeFailed(
            f"{len(failures)} of {len(targets) + len(bad)} inputs failed, the first: "
            f"{next(iter(failures.values()))['reason']}",
            hint=ledger.hint,
        )
    return Decoded(tuple(target for target in targets if target in written), done, kept)


def _targets(inputs: Sequence[Path], out: Path | None) -> dict[Path, Path]:
    """The input of each output. Raises UsageError for two inputs of one."""
    targets: dict[Path, Path] = {}
    for path in inputs:
        stem = path.name.removesuffix(".h5").removesuffix(".slat")
        target = (path.parent if out is None else out) / f"{stem}{RF_SUFFIX}"
        if targets.setdefault(target, path) != path:
            raise UsageError(
                f"{path} and {targets[target]} would both be written to {target}",
                hint="decode them one by one, each with its own -o",
            )
    return targets
