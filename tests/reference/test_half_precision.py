"""Half-precision torsos against the float32 references, by relative error: |got - want| / |want| over all numbers.

Both formats, because released weights were trained in float16 and this program computes in bfloat16 by default where
the hardware does. Structure decoders are compared by their logits, before any threshold. Bounds are twice what was
measured on the shipped set.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trellis_cli.geometry.packed import dense_to_packed, packed_to_dense
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.published import ELASTIC, network_with

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
BOUNDS = {"bfloat16": 2.2e-2, "float16": 2.6e-3}  # measured: 4.3e-3 to 1.1e-2, and 5.6e-4 to 1.3e-3
CASES = ("ss_encoder", "ss_decoder", "slat_encoder", "slat_decoder_gs", "slat_decoder_rf", "slat_decoder_mesh",
         "ss_flow", "ss_flow_v2", "slat_flow", "slat_flow_v2")  # fmt: skip


def run(name: str, case, network) -> tuple[Tensor, Tensor]:
    """What the network gives, and what the case says of it."""
    if name == "ss_encoder":
        return torch.cat(network(case.inputs["x"])), torch.cat([case.outputs["mean"], case.outputs["logvar"]])
    if name == "ss_decoder":
        return network(case.inputs["z"]), case.outputs["logits"]
    if name == "slat_encoder":
        return torch.cat(network(case.packed())), torch.cat([case.outputs["mean"], case.outputs["logvar"]])
    if name == "slat_decoder_mesh":
        return network.raw(case.packed()).feats, case.outputs["raw_feats"]
    if name.startswith("slat_decoder"):
        return network.raw(case.packed()), case.outputs["raw_feats"]
    time, condition = case.inputs["t"].double() / 1000, Condition.dense(case.inputs["cond"])
    if name.startswith("ss_flow"):
        x = dense_to_packed(case.inputs["x"])
        return packed_to_dense(x.with_feats(network(x, time, condition))), case.outputs["v"]
    return network(case.packed(), time, condition), case.outputs["v"]


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_relative_error(name: str, dtype: str, load_case: Callable) -> None:
    case = load_case(name)
    network = network_with(case.name, case.args, case.weights, dtype=DTYPES[dtype])
    halves = [p for key, p in network.named_parameters() if network.is_half(key)]
    assert halves and all(p.dtype == DTYPES[dtype] for p in halves)
    got, want = run(name, case, network)
    assert got.dtype == torch.float32
    error = float((got.double() - want.double()).norm() / want.double().norm())
    assert error <= BOUNDS[dtype], f"{error:.2e}"
    assert error > 1e-5  # the torso did compute in half precision


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("slat")])
@torch.no_grad()
def test_elastic_names_are_the_same_networks(name: str, load_case: Callable) -> None:
    case = load_case(name)
    plain = case.name.removeprefix(ELASTIC)
    one, other = (run(name, case, network_with(n, case.args, case.weights))[0] for n in (plain, ELASTIC + plain))
    assert torch.equal(one, other)
