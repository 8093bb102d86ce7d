"""Contact sheets: what is loaded for them."""

from pathlib import Path

import numpy as np

from trellis_cli.io.stage_files import Provenance, with_ids, write_stage
from trellis_cli.stages import view as stage


def test_the_decoder_is_loaded_once_for_all_files(tmp_path: Path, monkeypatch) -> None:
    loaded = []

    class Counted(stage.Decoder):
        def __init__(self, model, kind, **options):
            loaded.append(model)
            self.kind = kind

        def latents(self, group, index):
            return None

        def gaussians(self, latents):
            return None

    monkeypatch.setattr(stage, "Decoder", Counted)
    monkeypatch.setattr(stage, "open_model", lambda name: name)
    monkeypatch.setattr(stage, "gaussian_row", lambda *_: [np.zeros((16, 16, 3), np.uint8)])
    files = [tmp_path / f"{k}.slat.h5" for k in range(2)]
    for k, path in enumerate(files):
        asset = with_ids(f"{k:064x}", lengths=1, coords=np.zeros((1, 3), np.int16), feats=np.zeros((1, 4), np.float32))
        write_stage(path, {"slat": ([asset], {"resolution": 16})}, Provenance("encode", {}))
    assert stage.view(files, tmp_path / "x.png", "m", num_views=1, size=16) == 2
    assert loaded == ["m"]
