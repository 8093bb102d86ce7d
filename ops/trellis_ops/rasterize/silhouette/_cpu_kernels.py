"""The numba kernel of the outline search."""

import math

import numpy as np

from trellis_ops._numba import jit


@jit
def last_sides(pixels, faces, covered, axis):
    """Of each walk from a pixel to the next along `axis`, the side (3 face + corner) that is its outline [h, w]; -1
    where both pixels are covered or neither is, or no side is met. The first of equally far sides wins."""
    height, width = covered.shape
    length, lines = (width, height) if axis == 0 else (height, width)
    side = np.full((height, width), -1, np.int32)
    furthest = np.full((height, width), -1.0)
    for f in range(faces.shape[0]):
        for k in range(3):
            p, q = faces[f, k], faces[f, (k + 1) % 3]
            low, high = pixels[p, 1 - axis], pixels[q, 1 - axis]
            if not (math.isfinite(low) and math.isfinite(high)):
                continue
            first = max(math.ceil(min(low, high)), 0.0)
            last = min(math.floor(max(low, high)), lines - 1.0)
            for line in range(int(first), int(last) + 1 if last >= first else int(first)):
                if (low <= line) == (high <= line):
                    continue
                along = pixels[p, axis] + (line - low) / (high - low) * (pixels[q, axis] - pixels[p, axis])
                if not -1.0 < along < length:
                    continue
                here = math.floor(along)
                for start in range(here - 1 if along == here else here, here + 1):
                    if start < 0 or start + 1 >= length:
                        continue
                    row, column = (line, start) if axis == 0 else (start, line)
                    seen = covered[row, column]
                    if seen == (covered[row, column + 1] if axis == 0 else covered[row + 1, column]):
                        continue
                    s = along - start if seen else start + 1 - along
                    if s > furthest[row, column]:
                        furthest[row, column] = s
                        side[row, column] = 3 * f + k
    return side
