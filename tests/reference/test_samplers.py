"""The published sampler with guidance interval, step for step, through the reference flows of both stages.

Its settings are the same in every folder of reference tensors; the number of steps is read from the stored times.
"""

import pytest
import torch
from safetensors.torch import load_file

from trellis_cli.flow.guidance import guided
from trellis_cli.flow.sampler import euler, euler_steps
from trellis_cli.flow.schedule import time_steps
from trellis_cli.geometry.packed import dense_to_packed, packed_to_dense
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.published import network_with

GUIDANCE = 3.0
INTERVAL = (0.5, 1.0)
RESCALE = 3.0
TOLERANCE = 2e-5  # largest absolute difference of samples, as data/README.md gives it


@pytest.fixture(params=["ss", "slat"])
def run(request, load_case, reference_dir, pack_sparse):
    """(velocity guided, noise as packed feats, stored outputs, feats to the stored layout)."""
    case = load_case(f"{request.param}_flow")
    network = network_with(case.name, case.args, case.weights)
    inputs, outputs = (
        load_file(reference_dir / f"sampler_{request.param}.{part}.safetensors") for part in ("in", "out")
    )
    if request.param == "ss":
        noise = dense_to_packed(inputs["noise"])
    else:
        noise = pack_sparse(inputs["coords"], inputs["noise"])
    plan = network.plan(noise.coords, noise.offsets)

    def bound(tokens):
        condition = Condition.dense(tokens)
        if len(condition) == 1:
            condition = condition.repeat(len(noise))

        def velocity(x, t):
            times = torch.full((len(noise),), t, dtype=torch.float64)
            return network(noise.with_feats(x), times, condition, plan)

        return velocity

    velocity = guided(bound(inputs["cond"]), bound(inputs["neg_cond"]), strength=GUIDANCE, interval=INTERVAL)

    def stored(feats):
        return packed_to_dense(noise.with_feats(feats)) if request.param == "ss" else feats

    return velocity, noise.feats, outputs, stored


def test_times(run):
    want = run[2]["t_seq"]
    got = torch.tensor(time_steps(len(want) - 1, rescale=RESCALE), dtype=torch.float64)
    assert torch.equal(got, want)


@torch.no_grad()
def test_every_step(run, assert_near):
    velocity, noise, outputs, stored = run
    times = outputs["t_seq"].tolist()
    steps = list(euler_steps(velocity, noise, times))
    assert [step.t for step in steps] == times[1:]
    for i, step in enumerate(steps):
        assert_near(stored(step.x), outputs["pred_x_t"][i], what=f"x after step {i}", tolerance=TOLERANCE)
        assert_near(stored(step.x0), outputs["pred_x_0"][i], what=f"x0 at step {i}", tolerance=TOLERANCE)
    assert_near(stored(euler(velocity, noise, times)), outputs["samples"], what="samples", tolerance=TOLERANCE)
