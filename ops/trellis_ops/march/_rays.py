"""March the rays of tiles of pixels through their voxels: numba.

Places along a ray are float64, so that neighbouring voxels agree whose each sample is; all else is float32. What makes
it fast: 16 ranks, pixels or samples at a time; the samples of a row of pixels in one voxel are evaluated together;
unsigned indices; exp and log that the compiler can inline. What makes it repeatable: a pixel is one thread's, and in
the backward pass so is a voxel, which adds up its pixels in their order.
"""

import numpy as np

from trellis_ops._numba import jit, prange
from trellis_ops.march._lanes import add, fma, load, mul, spread, store, sub, totals

TILE = 16
LANES = np.uint64(16)  # ranks come in blocks of 16, the last filled up with zeros
RED_WEIGHTS, GREEN_WEIGHTS, BLUE_WEIGHTS = (np.uint64(i * 16) for i in (1, 2, 3))  # after those of the density
MANY = 512  # samples evaluated at once; a ray has at most 2 sqrt(3) d + 1 of them in a voxel
TRANSMITTANCE_MIN = np.float32(1e-3)
ALPHA_MAX = np.nextafter(np.float32(0.999), np.float32(0))  # so that what it leaves is no less than the above
C0 = np.float32(0.28209479)
LOG2E = np.float32(1.4426950408889634)
HALF, ONE, TWO = np.float32(0.5), np.float32(1), np.float32(2)
FLAGS = {"reassoc", "contract", "nsz", "arcp"}  # sums may be vectorised; NaN and inf keep their meaning

# A tile's rays (float64) and pixels (float32), planes of 256; samples (float32) and their cells (int32), planes of
# MANY. With one array each and constant distances the compiler can prove that nothing overlaps.
AREA = TILE * TILE
NEXT, PLANE = np.uint64(AREA), np.uint64(MANY)
STEP, INVERSE, JITTER, SLOPE = (np.uint64(i * AREA) for i in (0, 3, 6, 7))
KEPT, RED, GREEN, BLUE, DEPTH = (np.uint64(i * AREA) for i in range(5))
X, Y, Z, DISTANCE, ALPHA, RED_OF, GREEN_OF, BLUE_OF, PASSED = (np.uint64(i * MANY) for i in range(9))


@jit(parallel=True)
def pack(factors, density, colours, table):
    """Fill `table` [n, blocks, 3 d + 4, 16] (zeros): each rank's factors by axis and cell, then its four weights."""
    n, num_ranks, _, d = factors.shape
    for voxel in prange(n):
        for rank in range(num_ranks):
            block, lane = rank // 16, rank % 16
            for axis in range(3):
                for cell in range(d):
                    table[voxel, block, axis * d + cell, lane] = factors[voxel, rank, axis, cell]
            table[voxel, block, 3 * d, lane] = density[voxel, rank]
            for channel in range(3):
                table[voxel, block, 3 * d + 1 + channel, lane] = colours[voxel, rank, channel]


@jit
def _aim(matrix, cells_per_step, x, y, at, rays):
    """Write the ray of pixel (x, y) to place `at` of `rays`: voxels a step, steps a voxel, and z a length."""
    dx = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    dy = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    dz = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    slope = 1 / np.sqrt(dx * dx + dy * dy + dz * dz)
    rays[SLOPE + at] = slope
    for axis, along in enumerate((dx, dy, dz)):
        step = along * slope * cells_per_step
        rays[STEP + np.uint64(axis) * NEXT + at] = step
        # Parallel to a plane: so far from it in either direction, that any number of steps reaches it or none does.
        rays[INVERSE + np.uint64(axis) * NEXT + at] = 1 / step if step != 0 else 1e300


@jit
def _meet(low, high, row, rays, pixels, spans):
    """Each ray's first sample in a voxel, and their number: spans [2, 16] of a row of pixels; none where a pixel ended.

    low, high: the voxel's lowest and highest corner, seen from the camera, in voxels.
    """
    lx, ly, lz, hx, hy, hz = low[0], low[1], low[2], high[0], high[1], high[2]
    for col in range(LANES):
        at = row * LANES + col
        ix, iy, iz = rays[INVERSE + at], rays[INVERSE + NEXT + at], rays[INVERSE + NEXT + NEXT + at]
        x0, x1, y0, y1, z0, z1 = lx * ix, hx * ix, ly * iy, hy * iy, lz * iz, hz * iz
        enter = max(max(min(x0, x1), min(y0, y1)), min(z0, z1))
        leave = min(min(max(x0, x1), max(y0, y1)), max(z0, z1))
        first = max(np.ceil(enter - rays[JITTER + at]), 0.0)
        num = min(np.ceil(leave - rays[JITTER + at]) - first, MANY - 17.0)
        spans[col] = first
        spans[LANES + col] = num if pixels[KEPT + at] >= TRANSMITTANCE_MIN else 0.0


@jit(fastmath=FLAGS)
def _place(low, first, num, at, d, step, rays, n, samples, cells):
    """Write cells, fractions and z of a ray's samples in a voxel from place n on; up to 15 after them are overwritten.

    A cell is written as the place of its values in the voxel's table.
    """
    t = first + rays[JITTER + at]
    for axis in range(3):
        along = rays[STEP + np.uint64(axis) * NEXT + at]
        start, slope = np.float32((t * along - low[axis]) * d - 0.5), np.float32(along * d)
        table, plane = np.int32(16 * d * axis), n + np.uint64(axis) * PLANE
        for begin in range(np.uint64(0), num, LANES):
            for lane in range(LANES):
                u = start + np.float32(begin + lane) * slope
                cell = min(max(np.floor(u), np.float32(0)), np.float32(d - 2))
                samples[X + plane + begin + lane] = u - cell
                cells[plane + begin + lane] = np.int32(cell) * np.int32(16) + table
    unit = rays[SLOPE + at] * step
    start, slope = np.float32(t * unit), np.float32(unit)
    for begin in range(np.uint64(0), num, LANES):
        for lane in range(LANES):
            samples[DISTANCE + n + begin + lane] = start + np.float32(begin + lane) * slope


@jit
def _factor(table, at, fraction):
    """16 ranks' values along one axis, between the cell at `at` and the next."""
    low = load(table, at)
    return fma(fraction, sub(load(table, at + LANES), low), low)


@jit
def _sum(table, base, blocks, d, n, cells, samples):
    """The four sums over ranks of weight times product, at n samples of the voxel whose table starts at `base`."""
    weights, size = np.uint64(3 * d) * LANES, np.uint64(3 * d + 4) * LANES
    for i in range(n):
        x, y, z = base + np.uint64(cells[X + i]), base + np.uint64(cells[Y + i]), base + np.uint64(cells[Z + i])
        fx, fy, fz = spread(samples[X + i]), spread(samples[Y + i]), spread(samples[Z + i])
        density = red = green = blue = spread(np.float32(0))
        for block in range(blocks):
            on = block * size
            product = mul(mul(_factor(table, x + on, fx), _factor(table, y + on, fy)), _factor(table, z + on, fz))
            w = base + on + weights
            density = fma(product, load(table, w), density)
            red = fma(product, load(table, w + RED_WEIGHTS), red)
            green = fma(product, load(table, w + GREEN_WEIGHTS), green)
            blue = fma(product, load(table, w + BLUE_WEIGHTS), blue)
        sums = totals(density, red, green, blue)
        samples[ALPHA + i], samples[RED_OF + i], samples[GREEN_OF + i], samples[BLUE_OF + i] = sums


@jit(fastmath=FLAGS, inline="always")
def _exp2(x):
    """2^x as (s, q): s + s q, to 2e-8 of it; s is 1 near 0, so that 2^x - 1 = (s - 1) + s q is exact there too."""
    x = min(max(x, np.float32(-126)), np.float32(126))
    whole = np.floor(x + HALF)
    f = x - whole
    p = np.float32(0.00015403510769829154) * f + np.float32(0.0013390735257416964)
    p = p * f + np.float32(0.009618237614631653)
    p = p * f + np.float32(0.05550357326865196)
    p = p * f + np.float32(0.24022649228572845)
    p = p * f + np.float32(0.6931471824645996)
    return np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32), p * f


@jit(fastmath=FLAGS, inline="always")
def _log1p(x):
    """log(1 + x) for x in [0, 1], to 4e-9 of it."""
    z = x / (TWO + x)
    s = z * z
    p = np.float32(0.2817833125591278) * s + np.float32(0.27960604429244995)
    p = p * s + np.float32(0.40024909377098083)
    p = p * s + np.float32(0.6666631698608398)
    return z * (p * s + TWO)


@jit(fastmath=FLAGS)
def _shade(n, step, samples):
    """Sums to alphas and colours, and PASSED: the density's derivative by its sum, 0 where alpha is at its limit."""
    for begin in range(np.uint64(0), n, LANES):
        for lane in range(LANES):
            i = begin + lane
            x = samples[ALPHA + i]
            s, q = _exp2(-abs(x) * LOG2E)
            small = s + s * q
            sigma = max(x, np.float32(0)) + _log1p(small)
            s, q = _exp2(-sigma * step * LOG2E)
            alpha = (ONE - s) - s * q
            passed = (ONE if x > 0 else small) / (ONE + small)
            samples[PASSED + i] = passed if alpha <= ALPHA_MAX else np.float32(0)
            samples[ALPHA + i] = min(alpha, ALPHA_MAX)
        for channel in range(np.uint64(3)):
            for lane in range(LANES):
                i = RED_OF + channel * PLANE + begin + lane
                s, q = _exp2(samples[i] * (-C0 * LOG2E))
                samples[i] = ONE / (ONE + (s + s * q))


@jit(fastmath=FLAGS)
def _composite(at, first, end, samples, pixels):
    """Add the samples first:end of one voxel to a pixel, until its transmittance is used up."""
    kept, red, green, blue = pixels[KEPT + at], pixels[RED + at], pixels[GREEN + at], pixels[BLUE + at]
    depth = pixels[DEPTH + at]
    for i in range(first, end):
        weight = kept * samples[ALPHA + i]
        red += weight * samples[RED_OF + i]
        green += weight * samples[GREEN_OF + i]
        blue += weight * samples[BLUE_OF + i]
        depth += weight * samples[DISTANCE + i]
        kept -= weight
        if kept < TRANSMITTANCE_MIN:
            break
    pixels[KEPT + at], pixels[RED + at], pixels[GREEN + at], pixels[BLUE + at] = kept, red, green, blue
    pixels[DEPTH + at] = depth


@jit
def _gather(col, row, low, d, step, spans, rays, samples, cells, ends):
    """Place the samples of a row's pixels from `col` on, as long as there is room; returns the pixel to go on from.

    Pixel c has the samples ends[c]:ends[c + 1].
    """
    ends[col] = 0
    while col < TILE:
        many = np.uint64(max(spans[TILE + col], 0.0))
        if ends[col] + many > MANY - 16:
            break
        if many > 0:
            at = np.uint64(row * TILE + col)
            _place(low, spans[col], many, at, d, step, rays, ends[col], samples, cells)
        ends[col + 1] = ends[col] + many
        col += 1
    return col


@jit(parallel=True)
def march(
    order, tile_starts, members, tiles_x, tiles_y, coords, boxes, places, table, blocks, d, origins, matrices, jitter,
    step, images, transmittances, depths, before,
):  # fmt: skip
    """Fill images [v, h, w, 3] (over black), transmittances and depths [v, h, w].

    matrices [v, 3, 3] take a pixel's (column, row, 1) to a direction in the world whose z in the camera is 1. `before`
    [m, 5], where it has a row for each pixel of each box, gets what the pixel was before the voxel, if the two meet.
    """
    n = len(coords)
    height, width = transmittances.shape[1], transmittances.shape[2]
    size = np.uint64(blocks * (3 * d + 4) * 16)
    for k in prange(len(order)):
        index = order[k]
        view, tile_y, tile_x = index // (tiles_x * tiles_y), index // tiles_x % tiles_y, index % tiles_x
        ty, tx = tile_y * TILE, tile_x * TILE
        rays, pixels, spans = np.empty(8 * AREA), np.zeros(5 * AREA, np.float32), np.empty(2 * TILE)
        samples, cells, ends = np.empty(9 * MANY, np.float32), np.empty(3 * MANY, np.int32), np.empty(17, np.uint64)
        for row in range(min(TILE, height - ty)):
            for col in range(min(TILE, width - tx)):
                at = np.uint64(row * TILE + col)
                _aim(matrices[view], 0.5 / d, tx + col, ty + row, at, rays)
                rays[JITTER + at] = jitter[view, ty + row, tx + col]
                pixels[KEPT + at] = 1
        for m in range(tile_starts[index], tile_starts[index + 1]):
            voxel = members[m]
            x0, y0, x1, y1 = boxes[view * n + voxel]
            base = np.uint64(voxel) * size
            low, high = coords[voxel] - origins[view], coords[voxel] + 1 - origins[view]
            for row in range(max(y0 - ty, 0), min(y1 - ty, TILE)):
                _meet(low, high, np.uint64(row), rays, pixels, spans)
                place = places[view * n + voxel] + (ty + row - y0) * (x1 - x0) + tx - x0
                end = 0
                while end < TILE:
                    begin, end = end, _gather(end, row, low, d, step, spans, rays, samples, cells, ends)
                    if ends[end] > 0:
                        _sum(table, base, np.uint64(blocks), d, ends[end], cells, samples)
                        _shade(ends[end], np.float32(step), samples)
                    for col in range(begin, end):
                        if ends[col + 1] > ends[col]:
                            at = np.uint64(row * TILE + col)
                            if len(before):
                                for plane in range(5):
                                    before[place + col, plane] = pixels[np.uint64(plane * AREA) + at]
                            _composite(at, ends[col], ends[col + 1], samples, pixels)
            if (m - tile_starts[index]) % 32 == 31 and pixels[KEPT : KEPT + NEXT].max() < TRANSMITTANCE_MIN:
                break
        for row in range(min(TILE, height - ty)):
            for col in range(min(TILE, width - tx)):
                at = np.uint64(row * TILE + col)
                transmittances[view, ty + row, tx + col] = pixels[KEPT + at]
                depths[view, ty + row, tx + col] = pixels[DEPTH + at]
                images[view, ty + row, tx + col, 0] = pixels[RED + at]
                images[view, ty + row, tx + col, 1] = pixels[GREEN + at]
                images[view, ty + row, tx + col, 2] = pixels[BLUE + at]


@jit(fastmath=FLAGS)
def _take_back(first, end, step, kept, behind, g_alpha, g_red, g_green, g_blue, g_depth, samples):
    """Put the gradients of samples first:end in the place of their alphas and colours.

    kept: transmittance before them; behind: of them and all after them, the sum of weight times (colour, z) . gradient;
    g_alpha: gradient of the pixel's alpha times its last transmittance.
    """
    for i in range(first, end):
        red, green, blue = samples[RED_OF + i], samples[GREEN_OF + i], samples[BLUE_OF + i]
        seen = g_red * red + g_green * green + g_blue * blue + g_depth * samples[DISTANCE + i]
        weight = kept * samples[ALPHA + i]
        goes_on = kept >= TRANSMITTANCE_MIN
        weight = weight if goes_on else np.float32(0)
        kept -= weight
        behind -= weight * seen
        g_sigma = step * (kept * seen - behind + g_alpha)
        samples[ALPHA + i] = samples[PASSED + i] * g_sigma if goes_on else np.float32(0)
        weight *= C0
        samples[RED_OF + i] = weight * g_red * red * (ONE - red)
        samples[GREEN_OF + i] = weight * g_green * green * (ONE - green)
        samples[BLUE_OF + i] = weight * g_blue * blue * (ONE - blue)


@jit
def _add_factor(grad, at, g, fraction):
    """Add g, the gradient of an interpolated factor, to that of its two cells."""
    high = mul(g, fraction)
    store(add(load(grad, at), sub(g, high)), grad, at)
    store(add(load(grad, at + LANES), high), grad, at + LANES)


@jit
def _add(table, base, blocks, d, n, cells, samples, grad):
    """Add to `grad`, laid out as one voxel's part of `table`, what the gradients of n samples' sums give."""
    weights, size = np.uint64(3 * d) * LANES, np.uint64(3 * d + 4) * LANES
    for block in range(blocks):
        on = block * size
        start, w = base + on, base + on + weights
        g_density = g_red = g_green = g_blue = spread(np.float32(0))
        density, red = load(table, w), load(table, w + RED_WEIGHTS)
        green, blue = load(table, w + GREEN_WEIGHTS), load(table, w + BLUE_WEIGHTS)
        for i in range(n):
            x, y, z = np.uint64(cells[X + i]), np.uint64(cells[Y + i]), np.uint64(cells[Z + i])
            fx, fy, fz = spread(samples[X + i]), spread(samples[Y + i]), spread(samples[Z + i])
            a, b, c = _factor(table, start + x, fx), _factor(table, start + y, fy), _factor(table, start + z, fz)
            bc = mul(b, c)
            product = mul(a, bc)
            s0, s1 = spread(samples[ALPHA + i]), spread(samples[RED_OF + i])
            s2, s3 = spread(samples[GREEN_OF + i]), spread(samples[BLUE_OF + i])
            g_density, g_red = fma(s0, product, g_density), fma(s1, product, g_red)
            g_green, g_blue = fma(s2, product, g_green), fma(s3, product, g_blue)
            g = fma(s0, density, fma(s1, red, fma(s2, green, mul(s3, blue))))
            _add_factor(grad, on + x, mul(g, bc), fx)
            ga = mul(g, a)
            _add_factor(grad, on + y, mul(ga, c), fy)
            _add_factor(grad, on + z, mul(ga, b), fz)
        at = on + weights
        for g in (g_density, g_red, g_green, g_blue):
            store(add(load(grad, at), g), grad, at)
            at += LANES


@jit(parallel=True)
def march_backward(
    order, coords, boxes, places, table, blocks, d, origins, matrices, jitter, step, images, transmittances, depths,
    before, g_images, g_alphas, g_depths, g_factors, g_density, g_colours,
):  # fmt: skip
    """Fill g_factors [n, r, 3, d], g_density [n, r], g_colours [n, r, 3]: voxel by voxel, each from all its pixels."""
    n, num_ranks = len(coords), g_density.shape[1]
    size = np.uint64(blocks * (3 * d + 4) * 16)
    for k in prange(n):
        voxel = order[k]
        rays, pixels, spans = np.empty(8 * AREA), np.empty(5 * AREA, np.float32), np.empty(2 * TILE)
        samples, cells, ends = np.empty(9 * MANY, np.float32), np.empty(3 * MANY, np.int32), np.empty(17, np.uint64)
        grad = np.zeros(size, np.float32)
        base = np.uint64(voxel) * size
        for view in range(len(origins)):
            x0, y0, x1, y1 = boxes[view * n + voxel]
            low, high = coords[voxel] - origins[view], coords[voxel] + 1 - origins[view]
            place = places[view * n + voxel]
            for py in range(y0, y1):
                for px in range(x0, x1, TILE):
                    seen = False
                    for col in range(TILE):
                        at = np.uint64(col)
                        pixels[KEPT + at] = before[place + col, 0] if px + col < x1 else np.float32(0)
                        if pixels[KEPT + at] >= TRANSMITTANCE_MIN:
                            _aim(matrices[view], 0.5 / d, px + col, py, at, rays)
                            rays[JITTER + at] = jitter[view, py, px + col]
                            seen = True
                    if seen:
                        _meet(low, high, np.uint64(0), rays, pixels, spans)
                    end = 0 if seen else TILE
                    while end < TILE:
                        begin, end = end, _gather(end, 0, low, d, step, spans, rays, samples, cells, ends)
                        if ends[end] > 0:
                            _sum(table, base, np.uint64(blocks), d, ends[end], cells, samples)
                            _shade(ends[end], np.float32(step), samples)
                        for col in range(begin, end):
                            if ends[col + 1] > ends[col]:
                                g = g_images[view, py, px + col]
                                g_depth = g_depths[view, py, px + col]
                                was = before[place + col]
                                behind = g_depth * (depths[view, py, px + col] - was[4])
                                for channel in range(3):
                                    behind += g[channel] * (images[view, py, px + col, channel] - was[1 + channel])
                                g_alpha = g_alphas[view, py, px + col] * transmittances[view, py, px + col]
                                _take_back(
                                    ends[col], ends[col + 1], np.float32(step), was[0], behind, g_alpha,
                                    g[0], g[1], g[2], g_depth, samples,
                                )  # fmt: skip
                        if ends[end] > 0:
                            _add(table, base, np.uint64(blocks), d, ends[end], cells, samples, grad)
                    place += min(TILE, x1 - px)
        for rank in range(num_ranks):
            at = rank // 16 * (3 * d + 4) * 16 + rank % 16
            for axis in range(3):
                for cell in range(d):
                    g_factors[voxel, rank, axis, cell] = grad[at + (axis * d + cell) * 16]
            g_density[voxel, rank] = grad[at + 3 * d * 16]
            for channel in range(3):
                g_colours[voxel, rank, channel] = grad[at + (3 * d + 1 + channel) * 16]
