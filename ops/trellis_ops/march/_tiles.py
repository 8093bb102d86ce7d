"""Which voxels each tile of 16 x 16 pixels sees, front first: numba.

No depth is compared. Along a ray, the number of voxels between it and the camera's own grows in every axis or stays, so
voxels in the order of their distance from the camera's, counted in faces to cross, are in order along every ray of the
view: one counting sort does for all pixels. Voxels at one distance never lie on one ray.
"""

import numpy as np

from trellis_ops._numba import jit, prange

TILE = 16
NEAR = 1e-6  # in voxels: a part of a voxel that is nearer than this is not looked for on the image
SLACK = 1e-3  # in pixels: rounding never cuts a pixel off


@jit(parallel=True)
def bound(coords, cameras, intrinsics, width, height, boxes):
    """Fill boxes [v * n, 4] with the pixels (x0, y0, x1, y1; ends left out) whose rays may meet each voxel.

    cameras [v, 3, 4] take places in the grid, in voxels, to the camera; intrinsics [v, 3, 3] are normalised.
    """
    n = len(coords)
    for row in prange(len(boxes)):
        view, voxel = row // n, row % n
        camera, K = cameras[view], intrinsics[view]
        corners = np.empty((8, 3))
        for j in range(8):
            for axis in range(3):
                corners[j, axis] = camera[axis, 3]
                for i in range(3):
                    corners[j, axis] += camera[axis, i] * (coords[voxel, i] + ((j >> i) & 1))
        low_x = low_y = np.inf
        high_x = high_y = -np.inf
        for j in range(8):
            for i in range(4):  # the corner itself, then where its three edges cross the near plane
                other = j ^ (1 << i >> 1)
                z, end = corners[j, 2], corners[other, 2]
                if i == 0:
                    if z < NEAR:
                        continue
                    x, y = corners[j, 0], corners[j, 1]
                else:
                    if not z < NEAR <= end:
                        continue
                    t = (NEAR - z) / (end - z)
                    x = corners[j, 0] + t * (corners[other, 0] - corners[j, 0])
                    y = corners[j, 1] + t * (corners[other, 1] - corners[j, 1])
                    z = NEAR
                at_x = (K[0, 0] * x + K[0, 1] * y + K[0, 2] * z) / z * width - 0.5
                at_y = (K[1, 0] * x + K[1, 1] * y + K[1, 2] * z) / z * height - 0.5
                low_x, high_x, low_y, high_y = min(low_x, at_x), max(high_x, at_x), min(low_y, at_y), max(high_y, at_y)
        boxes[row] = 0
        x0, x1 = max(low_x - SLACK, 0.0), min(high_x + SLACK, width - 1.0)
        y0, y1 = max(low_y - SLACK, 0.0), min(high_y + SLACK, height - 1.0)
        if x0 <= x1 and y0 <= y1:
            boxes[row, 0], boxes[row, 1] = np.int32(np.ceil(x0)), np.int32(np.ceil(y0))
            boxes[row, 2], boxes[row, 3] = np.int32(np.floor(x1)) + 1, np.int32(np.floor(y1)) + 1
            if boxes[row, 0] >= boxes[row, 2] or boxes[row, 1] >= boxes[row, 3]:
                boxes[row] = 0


@jit(parallel=True)
def count(boxes, num_views, tiles_x, tiles_y, tile_counts, places):
    """Fill `tile_counts` [views * tiles], and `places` [v * n + 1], where the pixels of each box start in a list."""
    n = len(boxes) // num_views
    for view in prange(num_views):
        base = view * tiles_x * tiles_y
        for row in range(view * n, view * n + n):
            x0, y0, x1, y1 = boxes[row]
            places[row + 1] = np.int64(x1 - x0) * (y1 - y0)
            for ty in range(y0 // TILE, -(-y1 // TILE)):
                for tx in range(x0 // TILE, -(-x1 // TILE)):
                    tile_counts[base + ty * tiles_x + tx] += 1
    places[0] = 0
    for row in range(len(boxes)):
        places[row + 1] += places[row]


@jit
def _front_first(coords, origin):
    """Voxels in the order of their distance from the one at `origin`, in faces to cross; equal ones as they were."""
    n = len(coords)
    if n == 0:
        return np.empty(0, np.int32)
    home = np.floor(origin).astype(np.int64)
    distances = np.empty(n, np.int64)
    for j in range(n):
        distances[j] = 0
        for axis in range(3):
            distances[j] += abs(coords[j, axis] - home[axis])
    nearest = distances.min()
    starts = np.zeros(distances.max() - nearest + 2, np.int64)
    for j in range(n):
        starts[distances[j] - nearest + 1] += 1
    for d in range(len(starts) - 1):
        starts[d + 1] += starts[d]
    order = np.empty(n, np.int32)
    for j in range(n):
        order[starts[distances[j] - nearest]] = j
        starts[distances[j] - nearest] += 1
    return order


@jit(parallel=True)
def fill(coords, origins, boxes, tiles_x, tiles_y, tile_starts, members):
    """Fill `members`: for each tile, at tile_starts[t]:tile_starts[t + 1], the voxels it may see, front first.

    origins [v, 3]: where the cameras stand in the grid, in voxels.
    """
    n = len(coords)
    for view in prange(len(origins)):
        base = view * tiles_x * tiles_y
        cursor = tile_starts[base : base + tiles_x * tiles_y].copy()
        for voxel in _front_first(coords, origins[view]):
            x0, y0, x1, y1 = boxes[view * n + voxel]
            for ty in range(y0 // TILE, -(-y1 // TILE)):
                for tx in range(x0 // TILE, -(-x1 // TILE)):
                    tile = ty * tiles_x + tx
                    members[cursor[tile]] = voxel
                    cursor[tile] += 1
