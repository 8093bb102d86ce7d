"""Sort footprints into tiles of 16 x 16 pixels and composite them, forward and backward: numba, in float32.

What makes it fast: rows of exactly 16 pixels without a branch, unsigned indices (a signed one is checked for negative
values, and the loop stays scalar), and an exp that the compiler can inline. What makes it repeatable: every sum has a
fixed order; a tile writes the gradients of its footprints to places of its own, added up later.
"""

import numpy as np

from trellis_ops._numba import jit, prange

TILE = 16
ROWS = np.uint64(TILE)
AREA = TILE * TILE
# A tile's state is one flat array of planes of 256: with one array and constant distances the compiler can prove that
# nothing overlaps. RED, GREEN, BLUE are the image, or in the backward its gradient; SUMS are six rows of 16 there.
# A footprint's number in LAST is a float, like the rest: exact to 2^24 footprints a tile.
LIVE, KEPT, LAST, RED, GREEN, BLUE, SUMS = (np.uint64(i * AREA) for i in range(7))
BEHIND = KEPT
TWO, THREE, FOUR, FIVE = (np.uint64(i) for i in range(2, 6))
ALPHA_MIN, ALPHA_MAX = np.float32(1 / 255), np.float32(0.99)
TRANSMITTANCE_MIN = np.float32(1e-4)
FLAGS = {"reassoc", "contract", "nsz", "arcp"}  # sums may be vectorised; NaN and inf keep their meaning
LN2 = np.float32(0.6931471805599453)


@jit
def _by_depth(depths, rows):
    """Rows in the order of their depths, equal ones as they were: radix sort, 3 x 11 bits of the (positive) float."""
    n = len(rows)
    keys, spare_keys, spare = np.empty(n, np.uint32), np.empty(n, np.uint32), np.empty(n, rows.dtype)
    for j in range(n):
        keys[j] = np.float32(depths[rows[j]]).view(np.uint32)
    for shift in (np.uint32(0), np.uint32(11), np.uint32(22)):
        place = np.zeros(2049, np.int64)
        for j in range(n):
            place[((keys[j] >> shift) & np.uint32(2047)) + 1] += 1
        for d in range(2048):
            place[d + 1] += place[d]
        for j in range(n):
            digit = (keys[j] >> shift) & np.uint32(2047)
            spare_keys[place[digit]], spare[place[digit]] = keys[j], rows[j]
            place[digit] += 1
        keys, spare_keys = spare_keys, keys
        rows, spare = spare, rows
    return rows


@jit(parallel=True)
def count(boxes, num_views, tiles_x, tiles_y, starts, tile_counts):
    """Fill `starts` [rows + 1], running numbers of (row, tile) pairs by row, and `tile_counts` [views * tiles]."""
    g = len(boxes) // num_views
    for view in prange(num_views):
        base = view * tiles_x * tiles_y
        for row in range(view * g, view * g + g):
            x0, y0, x1, y1 = boxes[row]
            starts[row + 1] = (x1 - x0) * (y1 - y0)
            for ty in range(y0, y1):
                for tx in range(x0, x1):
                    tile_counts[base + ty * tiles_x + tx] += 1
    starts[0] = 0
    for row in range(len(boxes)):
        starts[row + 1] += starts[row]


@jit(parallel=True)
def fill(depths, boxes, num_views, tiles_x, tiles_y, tile_starts, members):
    """Fill `members`: for each tile, at tile_starts[t]:tile_starts[t + 1], the rows that may touch it, front first."""
    g = len(boxes) // num_views
    for view in prange(num_views):
        rows = np.empty(g, np.int32)
        n = 0
        for row in range(view * g, view * g + g):
            if boxes[row, 2] > boxes[row, 0]:
                rows[n] = row
                n += 1
        base = view * tiles_x * tiles_y
        cursor = tile_starts[base : base + tiles_x * tiles_y].copy()
        for row in _by_depth(depths, rows[:n]):
            for ty in range(boxes[row, 1], boxes[row, 3]):
                for tx in range(boxes[row, 0], boxes[row, 2]):
                    tile = ty * tiles_x + tx
                    members[cursor[tile]] = row
                    cursor[tile] += 1


@jit
def _rows_reached(y, half_height):
    """First and end row of a tile, 16 rows from 0, that a footprint at height y above their middles reaches."""
    first = min(max(np.ceil(y - half_height), np.float32(0)), np.float32(TILE))
    end = min(max(np.floor(y + half_height) + 1, np.float32(0)), np.float32(TILE))
    return np.uint64(first), np.uint64(end)


@jit(fastmath=FLAGS, inline="always")
def _exp2(x):
    """2^x, to 2e-7 of it (minimax polynomial on [0, 1) and the exponent's bits)."""
    x = max(x, np.float32(-126))
    whole = np.floor(x)
    f = x - whole
    p = np.float32(0.0018775767) * f + np.float32(0.0089893397)
    p = p * f + np.float32(0.055826318)
    p = p * f + np.float32(0.24015361)
    p = p * f + np.float32(0.69315308)
    p = p * f + np.float32(0.99999994)
    return p * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@jit(fastmath=FLAGS)
def _add(k, y0, y1, x, y, conic, colour, tile):
    """Composite footprint k onto rows y0:y1 of a tile; (x, y) is its centre from the first pixel's."""
    a, b, c, opacity = conic[0], conic[1], conic[2], conic[3]
    red, green, blue = colour[0], colour[1], colour[2]
    for row in range(y0, y1):
        dy = np.float32(row) - y
        from_y, slope = c * dy * dy, b * dy
        for col in range(ROWS):
            at = row * ROWS + col
            dx = np.float32(col) - x
            alpha = min(opacity * _exp2((a * dx + slope) * dx + from_y), ALPHA_MAX)
            alpha = alpha if alpha >= ALPHA_MIN else np.float32(0)
            t = tile[LIVE + at]
            after = t - t * alpha
            goes_on = after >= TRANSMITTANCE_MIN
            weight = t * alpha if goes_on else np.float32(0)
            tile[LIVE + at] = after if goes_on else np.float32(0)
            tile[KEPT + at] = after if goes_on else tile[KEPT + at]
            tile[LAST + at] = k if weight > 0 else tile[LAST + at]
            tile[RED + at] += weight * red
            tile[GREEN + at] += weight * green
            tile[BLUE + at] += weight * blue


@jit(parallel=True)
def composite(order, tile_starts, members, tiles_x, tiles_y, centres, conics, colours, images, transmittance, last):
    """Fill images [v, h, w, 3] (over black), transmittance [v, h, w], and the last footprint each pixel took.

    `last` numbers within the tile's list, -1 where the pixel took none. `order` is the order tiles are worked in.
    """
    g = np.int64(len(colours))
    height, width = transmittance.shape[1], transmittance.shape[2]
    for n in prange(len(order)):
        index = order[n]
        view, ty, tx = index // (tiles_x * tiles_y), index // tiles_x % tiles_y * TILE, index % tiles_x * TILE
        tile = np.zeros(6 * AREA, np.float32)
        tile[LIVE : LIVE + AREA] = 1
        tile[KEPT : KEPT + AREA] = 1
        tile[LAST : LAST + AREA] = -1
        begin, end = tile_starts[index], tile_starts[index + 1]
        for k in range(begin, end):
            row = members[k]
            x, y = np.float32(centres[row, 0] - tx - 0.5), np.float32(centres[row, 1] - ty - 0.5)
            y0, y1 = _rows_reached(y, conics[row, 4])
            _add(np.float32(k - begin), y0, y1, x, y, conics[row], colours[row - view * g], tile)
            if (k - begin) % 32 == 31 and tile[LIVE : LIVE + AREA].max() == 0:
                break
        for row in range(min(TILE, height - ty)):
            for col in range(min(TILE, width - tx)):
                at = row * TILE + col
                transmittance[view, ty + row, tx + col] = tile[KEPT + at]
                last[view, ty + row, tx + col] = tile[LAST + at]
                images[view, ty + row, tx + col, 0] = tile[RED + at]
                images[view, ty + row, tx + col, 1] = tile[GREEN + at]
                images[view, ty + row, tx + col, 2] = tile[BLUE + at]


@jit(fastmath=FLAGS)
def _take_back(k, y0, y1, x, y, conic, colour, tile, part):
    """Footprint k's gradients over rows y0:y1 of a tile, written to `part` [9]; the tile goes back by one.

    LIVE holds the transmittance after the footprint and gets that before it; BEHIND is the sum of
    weight * (colour . gradient) of all behind it, less transmittance * gradient of alpha.
    """
    a, b, c, opacity = conic[0], conic[1], conic[2], conic[3]
    red, green, blue = colour[0], colour[1], colour[2]
    tile[SUMS:] = 0
    for row in range(y0, y1):
        dy = np.float32(row) - y
        from_y, slope = c * dy * dy, b * dy
        for col in range(ROWS):
            at = row * ROWS + col
            dx = np.float32(col) - x
            free = opacity * _exp2((a * dx + slope) * dx + from_y)
            alpha = min(free, ALPHA_MAX)
            alpha = alpha if (alpha >= ALPHA_MIN) & (k <= tile[LAST + at]) else np.float32(0)
            passed = np.float32(1) / (np.float32(1) - alpha)
            t = tile[LIVE + at] * passed
            seen = red * tile[RED + at] + green * tile[GREEN + at] + blue * tile[BLUE + at]
            g_power = alpha * (t * seen - tile[BEHIND + at] * passed)
            g_power = g_power if free <= ALPHA_MAX else np.float32(0)
            weight = alpha * t
            tile[LIVE + at] = t
            tile[BEHIND + at] += weight * seen
            tile[SUMS + col] += g_power
            tile[SUMS + ROWS + col] += g_power * dy
            tile[SUMS + TWO * ROWS + col] += g_power * dy * dy
            tile[SUMS + THREE * ROWS + col] += weight * tile[RED + at]
            tile[SUMS + FOUR * ROWS + col] += weight * tile[GREEN + at]
            tile[SUMS + FIVE * ROWS + col] += weight * tile[BLUE + at]
    s = sx = sy = sxx = sxy = syy = g_red = g_green = g_blue = np.float32(0)
    for col in range(ROWS):
        dx = np.float32(col) - x
        s += tile[SUMS + col]
        sx += tile[SUMS + col] * dx
        sxx += tile[SUMS + col] * dx * dx
        sy += tile[SUMS + ROWS + col]
        sxy += tile[SUMS + ROWS + col] * dx
        syy += tile[SUMS + TWO * ROWS + col]
        g_red += tile[SUMS + THREE * ROWS + col]
        g_green += tile[SUMS + FOUR * ROWS + col]
        g_blue += tile[SUMS + FIVE * ROWS + col]
    # back to the natural base: power = ln 2 * (a dx^2 + b dx dy + c dy^2), and A = -2 ln2 a, B = -ln2 b
    part[0] = -LN2 * (2 * a * sx + b * sy)
    part[1] = -LN2 * (2 * c * sy + b * sx)
    part[2], part[3], part[4] = np.float32(-0.5) * sxx, -sxy, np.float32(-0.5) * syy
    part[5] = s / opacity
    part[6], part[7], part[8] = g_red, g_green, g_blue


@jit(parallel=True)
def composite_backward(
    order, tile_starts, members, tiles_x, tiles_y, centres, conics, boxes, starts, colours,
    transmittance, last, g_images, g_alphas, parts,
):  # fmt: skip
    """Fill `parts` [m, 9] (see `project_backward`) for the footprints that some pixel took; the others stay zero."""
    g = np.int64(len(colours))
    height, width = transmittance.shape[1], transmittance.shape[2]
    for n in prange(len(order)):
        index = order[n]
        view, tile_y, tile_x = index // (tiles_x * tiles_y), index // tiles_x % tiles_y, index % tiles_x
        ty, tx = tile_y * TILE, tile_x * TILE
        tile = np.zeros(6 * AREA + 6 * TILE, np.float32)
        tile[LIVE : LIVE + AREA] = 1
        latest = -1
        for row in range(min(TILE, height - ty)):
            for col in range(min(TILE, width - tx)):
                at = row * TILE + col
                tile[LIVE + at] = transmittance[view, ty + row, tx + col]
                tile[BEHIND + at] = -tile[LIVE + at] * g_alphas[view, ty + row, tx + col]
                tile[LAST + at] = last[view, ty + row, tx + col]
                latest = max(latest, last[view, ty + row, tx + col])
                tile[RED + at] = g_images[view, ty + row, tx + col, 0]
                tile[GREEN + at] = g_images[view, ty + row, tx + col, 1]
                tile[BLUE + at] = g_images[view, ty + row, tx + col, 2]
        for k in range(latest, -1, -1):
            row = members[tile_starts[index] + k]
            x, y = np.float32(centres[row, 0] - tx - 0.5), np.float32(centres[row, 1] - ty - 0.5)
            y0, y1 = _rows_reached(y, conics[row, 4])
            x0, box_y0, x1, _ = boxes[row]
            part = parts[starts[row] + (tile_y - box_y0) * (x1 - x0) + tile_x - x0]
            _take_back(np.float32(k), y0, y1, x, y, conics[row], colours[row - view * g], tile, part)
