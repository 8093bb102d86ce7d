"""What keeps one bad step from spoiling a run: steps that are not finite or far off are left out, and said so."""

import math
from typing import Any

import torch

from trellis_cli.errors import TrellisError

WINDOW = 500  # losses remembered
WARM = 100  # of them, before a spike can be told
PATIENCE = 10  # bad steps in a row before the run is given up


class Guard:
    """Judges each step by its loss and gradient norm, before the weights are changed.

    spike: how far a loss may lie above the median of those before, in distances of their 95th percentile from it; 0
    takes any finite loss. Its memory (`state`) goes into the checkpoint, so that a resumed run judges alike.
    """

    def __init__(self, spike: float = 0.0) -> None:
        self.spike = spike
        self.losses: list[float] = []
        self.bad_in_a_row = 0

    def accepts(self, loss: float, norm: float, step: int, saved: int) -> bool:
        """Whether the step may change the weights.

        Raises:
            TrellisError: PATIENCE steps in a row may not.
        """
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite and not (self.spike and loss > self.limit()):
            self.bad_in_a_row = 0
            self.losses = [*self.losses, loss][-WINDOW:]
            return True
        self.bad_in_a_row += 1
        if self.bad_in_a_row >= PATIENCE:
            raise TrellisError(
                f"step {step}: the loss is {loss}, the gradient norm {norm}, the {PATIENCE}th bad step in a row",
                hint=(f"the checkpoint of step {saved} stays; " if saved else "")
                + "the same command goes on with --set optimizer.learning_rate=... lower, or another optimizer.spike",
            )
        return False

    def limit(self) -> float:
        """The largest loss that is no spike."""
        if len(self.losses) < WARM:
            return math.inf
        seen = torch.tensor(self.losses, dtype=torch.float64)
        median, high = float(seen.median()), float(seen.quantile(0.95))
        return median + self.spike * (high - median)

    def state(self) -> dict[str, Any]:
        return {"losses": self.losses, "bad_in_a_row": self.bad_in_a_row}

    def restore(self, state: dict[str, Any]) -> None:
        self.losses, self.bad_in_a_row = list(state.get("losses", [])), int(state.get("bad_in_a_row", 0))


class LossScale:
    """What a loss is multiplied with so that float16 gradients do not vanish: 2^log, as published.

    log begins at 20, rises by 0.001 a good step, and falls by 1 where a gradient overflowed; that step is left out.
    """

    def __init__(self, *, active: bool) -> None:
        self.active, self.log = active, 20.0

    @property
    def factor(self) -> float:
        return 2.0**self.log if self.active else 1.0

    def overflowed(self, norm: float, loss: float = 0.0) -> bool:
        """Whether this step's gradients are too large for the format; the next one is scaled accordingly.

        Below 1, or where the loss itself is not finite, the scale is not to blame: the guard judges the step.
        """
        if not self.active or not math.isfinite(loss):
            return False
        if math.isfinite(norm):
            self.log += 0.001
            return False
        self.log -= 1
        return self.log >= 0
