"""Contact sheets: what is loaded for them."""

from pathlib import Path

import numpy as np
import torch

from trellis_cli.io.stage_files import Provenance, with_ids, write_stage
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.stages import view as stage


def test_the_decoder_is_loaded_once_for_all_files_and_not_for_meshes(tmp_path: Path, monkeypatch) -> None:
    loaded = []
    one = Gaussians(
        torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.1), torch.ones(1), torch.zeros(1, 1, 3)
    )

    class OneGaussian(stage.Decoder):
        def __init__(self, model, kind, **options):
            loaded.append(model)
            self.kind = kind

        def latents(self, group, index):
            return None

        def gaussians(self, latents):
            return one

    monkeypatch.setattr(stage, "Decoder", OneGaussian)
    monkeypatch.setattr(stage, "open_model", lambda name: name)
    (tmp_path / "x.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    stage.view([tmp_path / "x.obj"], tmp_path / "mesh.png", "m", num_views=1, size=16)
    assert not loaded
    files = [tmp_path / f"{k}.slat.h5" for k in range(2)]
    for k, path in enumerate(files):
        asset = with_ids(f"{k:064x}", lengths=1, coords=np.zeros((1, 3), np.int16), feats=np.zeros((1, 4), np.float32))
        write_stage(path, {"slat": ([asset], {"resolution": 16})}, Provenance("encode", {}))
    assert stage.view(files, tmp_path / "x.png", "m", num_views=1, size=16) == 2
    assert loaded == ["m"]
