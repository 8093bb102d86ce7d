"""How many voxels a micro-batch may have on a card: learnt from what the micro-batches before have taken.

Memory grows about linearly with the voxels of a micro-batch. Source: the published trainers fit such a line too; there
it decides how many blocks keep their activations, here how many voxels go through at a time.
"""

import torch

WINDOW = 256  # micro-batches remembered
FEWEST = 8  # of different sizes, before the line is trusted


class MemoryLimit:
    """The limit on voxels a micro-batch.

    start: the recipe's own limit; 0 is none.
    fill: the share of the card's memory to use; 0 keeps the recipe's limit.
    total: the card's memory in bytes; 0 without a card.
    """

    def __init__(self, start: int, fill: float, total: int) -> None:
        self.start, self.room = start, fill * total
        self.seen: list[tuple[int, int]] = []
        self._ceiling = 0  # set by an allocation that failed

    @property
    def tokens(self) -> int:
        """Voxels a micro-batch; 0 for no limit."""
        fitted = self._fitted()
        known = [limit for limit in (fitted or self.start, self._ceiling) if limit]
        return min(known) if known else 0

    def saw(self, tokens: int, peak: int) -> None:
        """A micro-batch of so many voxels took `peak` bytes at most."""
        if self.room:
            self.seen = [*self.seen, (tokens, peak)][-WINDOW:]

    def failed(self, tokens: int) -> None:
        """A micro-batch of so many voxels did not fit."""
        self._ceiling = max(1, min(self._ceiling or tokens, tokens // 2))

    def _fitted(self) -> int:
        if not self.room or len({tokens for tokens, _ in self.seen}) < FEWEST:
            return 0
        x, y = torch.tensor(self.seen, dtype=torch.float64).T
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
        base = float(y.mean() - slope * x.mean())
        return max(1, int((self.room - base) / slope)) if slope > 0 else 0
