"""What flows are conditioned on in training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from trellis_cli.data.index import DataFolder
from trellis_cli.data.views import encode_png
from trellis_cli.errors import FileError, MissingError
from trellis_cli.geometry.cameras import orbit
from trellis_cli.io.model_folders import SHIPPED, save_network
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.networks.image_tokens import load_image_tokens
from trellis_cli.stages.flow_conditions import ViewPictures
from trellis_cli.stages.initial_weights import borrow_weights

PITCHES = (-60.0, 0.0, 30.0, 80.0)
SIZE = 64


def views(pitches: tuple[float, ...] = PITCHES) -> dict[str, np.ndarray]:
    """A /views asset: a block that is red on its left and green on its right, of another width in each view."""
    pictures = []
    for k in range(len(pitches)):
        array = np.zeros((SIZE, SIZE, 4), np.uint8)
        array[20:40, 10 : 30 + k] = (255, 0, 0, 255)
        array[20:40, 30 + k : 40 + 4 * k] = (0, 255, 0, 255)
        pictures.append(np.frombuffer(encode_png(array), np.uint8))
    angles = torch.deg2rad(torch.tensor(pitches))
    cameras = orbit(torch.zeros(len(pitches)), angles, radius=2.0, fov=0.7)
    return {
        "images": np.concatenate(pictures),
        "image_offsets": np.cumsum([0, *map(len, pictures)]),
        "extrinsics": cameras.extrinsics.numpy(),
        "intrinsics": cameras.intrinsics.numpy(),
    }


class Folder(DataFolder):
    """As much of a data folder as conditions ask for, without files."""

    def __init__(self, **assets: dict[str, np.ndarray]) -> None:
        self.assets = assets

    def holds(self, group: str) -> bool:
        return group == "views"

    def cameras(self, id_: str, group: str = "views") -> dict[str, np.ndarray]:
        return self.assets[id_]

    def views(
        self, id_: str, rows: Sequence[int] | None = None, *, surfaces: bool = True, group: str = "views"
    ) -> dict[str, np.ndarray]:
        assert rows is not None and not surfaces and group == "views"
        whole = self.assets[id_]
        ends = whole["image_offsets"]
        parts = [whole["images"][ends[r] : ends[r + 1]] for r in rows]
        offsets = np.cumsum([0, *map(len, parts)])
        cameras = {name: whole[name][list(rows)] for name in ("extrinsics", "intrinsics")}
        return {"images": np.concatenate(parts), "image_offsets": offsets, **cameras}

    def captions(self, id_: str) -> list[str]:
        return [f"the {id_}"]


@pytest.fixture(scope="module")
def tokens():
    return load_image_tokens(SHIPPED / "mini" / "ckpts")


def pictures(tokens: Any, pitch_deg: tuple[float, float] = (-90.0, 90.0), **assets: Any) -> ViewPictures:
    return ViewPictures(Folder(**(assets or {"block": views()})), tokens, pitch_deg)


def test_only_cameras_between_the_pitches_are_drawn(tokens):
    conditions = pictures(tokens, (-15.0, 65.0))
    generator = torch.Generator().manual_seed(0)
    assert {conditions.pick("block", generator) for _ in range(30)} == {("block", 1), ("block", 2)}
    assert conditions.pick("block", None) == ("block", 1)


def test_an_asset_without_such_a_view_keeps_all(tokens):
    conditions = pictures(tokens, (-15.0, 65.0), under=views((-80.0, -70.0)))
    generator = torch.Generator().manual_seed(0)
    assert {conditions.pick("under", generator)[1] for _ in range(30)} == {0, 1}


def test_the_dropped_condition_is_zeros(tokens):
    condition = pictures(tokens)([None, ("block", 0)], [False, False])
    assert not condition[0].tokens.any() and condition[1].tokens.any()
    assert condition.pooled is not None and not condition.pooled[0].any()


def test_a_mirrored_asset_has_mirrored_views(tokens):
    pick = ("block", 2)
    plain, mirrored = pictures(tokens)([pick, pick], [False, True])
    outline = slice(0, 16)
    columns = plain.tokens[:, outline].view(8, 8, 4, 4)
    torch.testing.assert_close(mirrored.tokens[:, outline].view(8, 8, 4, 4), columns.flip(1, 3))
    assert not torch.equal(plain.tokens, mirrored.tokens)


def test_kept_tokens_are_those_of_a_fresh_start(tokens, monkeypatch):
    picks = [("block", k) for k in (0, 1, 0)]
    kept = pictures(tokens)
    first, again = kept(picks, [False] * 3), kept(picks, [False] * 3)
    assert torch.equal(first.tokens, again.tokens)
    monkeypatch.setattr("trellis_cli.stages.flow_conditions.KEPT_BYTES", 0)
    forgets = pictures(tokens)
    assert torch.equal(forgets(picks, [False] * 3).tokens, forgets(picks, [False] * 3).tokens)


def test_a_sheet_shows_the_picture_on_white(tokens):
    caption, shown = pictures(tokens).show(("block", 0), 32)
    assert caption == "the block" and shown[0].shape == (32, 32, 3) and (shown[0][0, 0] == 255).all()
    assert Image.fromarray(shown[0]).getpixel((8, 16)) == (255, 0, 0)


FLOW: dict[str, Any] = {
    "resolution": 4, "in_channels": 2, "model_channels": 16, "out_channels": 2, "num_blocks": 1, "num_heads": 2,
    "patch_size": 1,
}  # fmt: skip


def test_a_flow_lends_what_fits(tmp_path: Path):
    lender, borrower = (FlowNetwork(**FLOW, cond_channels=c, io="dense") for c in (8, 12))
    save_network(tmp_path / "ckpts" / "structure", "SparseStructureFlowModel", {**FLOW, "cond_channels": 8}, lender)
    before = borrower.blocks[0].cross_attn.to_kv.weight.clone()
    count = borrow_weights(borrower, str(tmp_path), "structure_image")
    assert count == len(borrower.state_dict()) - 1
    assert torch.equal(borrower.blocks[0].self_attn.to_qkv.weight, lender.blocks[0].self_attn.to_qkv.weight)
    assert torch.equal(borrower.blocks[0].cross_attn.to_kv.weight, before)


def test_nothing_to_lend(tmp_path: Path):
    network = FlowNetwork(**FLOW, cond_channels=8, io="dense")
    with pytest.raises(MissingError):
        borrow_weights(network, str(tmp_path), "structure")
    other = {**FLOW, "model_channels": 24, "in_channels": 3, "out_channels": 3}
    wide = FlowNetwork(**other, cond_channels=7, num_head_channels=12, io="dense")
    save_network(tmp_path / "ckpts" / "structure", "SparseStructureFlowModel", {**other, "cond_channels": 7}, wide)
    with pytest.raises(FileError, match="0 of 27 tensors"):
        borrow_weights(network, str(tmp_path), "structure")
