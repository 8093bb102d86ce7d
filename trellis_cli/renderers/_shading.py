"""The numba kernels of mesh rendering: normals, mip levels, cut-outs, and from fragments to pixels.

Light is added up linearly and encoded as sRGB once, at the end. `s` in the kernels is a Surface's arrays as a tuple, in
the order of `SURFACE_FIELDS`.
"""

import math

import numpy as np

from trellis_cli.representations.colour import linear_to_srgb, srgb_to_linear
from trellis_ops._numba import jit, prange

SURFACE_FIELDS = (
    "faces", "normals", "colours", "uvs", "density", "face_materials", "factors", "cutoffs",
    "textures", "num_levels", "levels", "texels", "vertices", "facing",
)  # fmt: skip
DECODE = srgb_to_linear(np.arange(256) / 255).astype(np.float32)
ENCODE = np.round(255 * linear_to_srgb(np.arange(4096) / 4095)).astype(np.uint8)
SQRT_HALF = np.float32(0.5**0.5)
LARGEST_RING = 256  # corners at one place beyond which they are shaded flat: smoothing costs their square


@jit
def _face_normal(vertices, faces, f):
    """Twice the area times the unit normal."""
    o, p, q = faces[f, 0], faces[f, 1], faces[f, 2]
    ax, ay, az = vertices[p, 0] - vertices[o, 0], vertices[p, 1] - vertices[o, 1], vertices[p, 2] - vertices[o, 2]
    bx, by, bz = vertices[q, 0] - vertices[o, 0], vertices[q, 1] - vertices[o, 1], vertices[q, 2] - vertices[o, 2]
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@jit(parallel=True)
def flat_normals(vertices, faces):
    """The face's unit normal at its three corners; zero for a degenerate face."""
    out = np.zeros((faces.shape[0], 3, 3), np.float32)
    for f in prange(faces.shape[0]):
        x, y, z = _face_normal(vertices, faces, f)
        length = math.sqrt(x * x + y * y + z * z)
        if length > 0:
            for k in range(3):
                out[f, k, 0], out[f, k, 1], out[f, k, 2] = x / length, y / length, z / length
    return out


@jit(parallel=True)
def smooth_normals(vertices, faces, by_place, starts, cos_crease):
    """At each corner the area-weighted mean normal of the faces around its place within the crease angle."""
    flat = flat_normals(vertices, faces)
    out = flat.copy()
    for place in prange(starts.shape[0] - 1):
        first, last = starts[place], starts[place + 1]
        if last - first > LARGEST_RING:
            continue
        for i in range(first, last):
            f, k = by_place[i] // 3, by_place[i] % 3
            sx, sy, sz = 0.0, 0.0, 0.0
            for j in range(first, last):
                g = by_place[j] // 3
                dot = flat[f, 0, 0] * flat[g, 0, 0] + flat[f, 0, 1] * flat[g, 0, 1] + flat[f, 0, 2] * flat[g, 0, 2]
                if dot > cos_crease:
                    x, y, z = _face_normal(vertices, faces, g)
                    sx, sy, sz = sx + x, sy + y, sz + z
            length = math.sqrt(sx * sx + sy * sy + sz * sz)
            if length > 0:
                out[f, k, 0], out[f, k, 1], out[f, k, 2] = sx / length, sy / length, sz / length
    return out


@jit(parallel=True)
def half(picture):
    """The next mip level: means of 2 x 2 texels in linear light, weighted by alpha; odd last rows are left out."""
    height, width = max(picture.shape[0] // 2, 1), max(picture.shape[1] // 2, 1)
    out = np.empty((height, width, 4), np.uint8)
    for row in prange(height):
        for column in range(width):
            r, g, b, total, count = 0.0, 0.0, 0.0, 0.0, 0
            for i in range(2 * row, min(2 * row + 2, picture.shape[0])):
                for j in range(2 * column, min(2 * column + 2, picture.shape[1])):
                    weight = picture[i, j, 3] + 1e-3
                    r += weight * DECODE[picture[i, j, 0]]
                    g += weight * DECODE[picture[i, j, 1]]
                    b += weight * DECODE[picture[i, j, 2]]
                    total += weight
                    count += 1
            out[row, column, 0] = ENCODE[int(r / total * 4095 + 0.5)]
            out[row, column, 1] = ENCODE[int(g / total * 4095 + 0.5)]
            out[row, column, 2] = ENCODE[int(b / total * 4095 + 0.5)]
            out[row, column, 3] = int(total / count - 1e-3 + 0.5)
    return out


@jit
def _sample(texels, start, height, width, u, v):
    """Bilinear, repeating; linear rgb and alpha. v = 0 is the picture's bottom."""
    x, y = (u - math.floor(u)) * width - 0.5, (1.0 - (v - math.floor(v))) * height - 0.5
    left, top = math.floor(x), math.floor(y)
    fx, fy = np.float32(x - left), np.float32(y - top)
    c0, r0 = int(left) % width, int(top) % height
    c1, r1 = (c0 + 1) % width, (r0 + 1) % height
    i, j, k, m = start + r0 * width + c0, start + r0 * width + c1, start + r1 * width + c0, start + r1 * width + c1
    one = np.float32(1)
    a, b, c, d = (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy
    red = a * DECODE[texels[i, 0]] + b * DECODE[texels[j, 0]] + c * DECODE[texels[k, 0]] + d * DECODE[texels[m, 0]]
    green = a * DECODE[texels[i, 1]] + b * DECODE[texels[j, 1]] + c * DECODE[texels[k, 1]] + d * DECODE[texels[m, 1]]
    blue = a * DECODE[texels[i, 2]] + b * DECODE[texels[j, 2]] + c * DECODE[texels[k, 2]] + d * DECODE[texels[m, 2]]
    alpha = (a * texels[i, 3] + b * texels[j, 3] + c * texels[k, 3] + d * texels[m, 3]) / np.float32(255)
    return red, green, blue, alpha


@jit
def _albedo(s, f, b0, b1, b2, footprint):
    """Linear base colour and alpha of face f at these barycentrics, where a pixel is `footprint` wide."""
    faces, _, colours, uvs, density, face_materials, factors, _, textures, num_levels, levels, texels, _, _ = s
    m = face_materials[f]
    red, green, blue, alpha = factors[m, 0], factors[m, 1], factors[m, 2], factors[m, 3]
    if textures[m] >= 0:
        u = b0 * uvs[f, 0, 0] + b1 * uvs[f, 1, 0] + b2 * uvs[f, 2, 0]
        v = b0 * uvs[f, 0, 1] + b1 * uvs[f, 1, 1] + b2 * uvs[f, 2, 1]
        octave = math.frexp(density[f] * footprint * SQRT_HALF)[1]  # log2 of the texels a pixel spans, rounded
        level = min(max(octave, 0), num_levels[m] - 1) + textures[m]
        r, g, b, a = _sample(texels, levels[level, 0], levels[level, 1], levels[level, 2], u, v)
        red, green, blue, alpha = red * r, green * g, blue * b, alpha * a
    if colours.shape[0] > 0:
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        red *= b0 * colours[i, 0] + b1 * colours[j, 0] + b2 * colours[k, 0]
        green *= b0 * colours[i, 1] + b1 * colours[j, 1] + b2 * colours[k, 1]
        blue *= b0 * colours[i, 2] + b1 * colours[j, 2] + b2 * colours[k, 2]
        alpha *= b0 * colours[i, 3] + b1 * colours[j, 3] + b2 * colours[k, 3]
    return red, green, blue, alpha


@jit(parallel=True)
def holes(s, face_id, barycentrics, depth, pixel, beyond):
    """Where the fragment falls into a cut-out, write its depth to `beyond`, elsewhere infinity; whether any does.

    pixel: the width of a pixel at depth 1.
    """
    face_materials, cutoffs = s[5], s[7]
    found = np.zeros(face_id.shape[0], np.uint8)
    for row in prange(face_id.shape[0]):
        for column in range(face_id.shape[1]):
            beyond[row, column] = np.inf
            f = face_id[row, column]
            if f < 0 or cutoffs[face_materials[f]] < 0:
                continue
            b = barycentrics[row, column]
            alpha = _albedo(s, f, b[0], b[1], b[2], depth[row, column] * pixel)[3]
            if alpha < cutoffs[face_materials[f]]:
                beyond[row, column] = depth[row, column]
                found[row] = 1
    return found.any()


@jit(parallel=True)
def merge(beyond, new_id, new_barycentrics, new_depth, face_id, barycentrics, depth):
    """Put the deeper layer where the nearer one had holes."""
    for row in prange(face_id.shape[0]):
        for column in range(face_id.shape[1]):
            if beyond[row, column] < np.inf:
                face_id[row, column] = new_id[row, column]
                depth[row, column] = new_depth[row, column]
                for k in range(3):
                    barycentrics[row, column, k] = new_barycentrics[row, column, k]


@jit
def _irradiance(light, x, y, z):
    """As lighting.irradiance."""
    out = light[11] + (light[10] - light[11]) * (z + 1) / 2
    for i in range(0, 10, 5):
        wrapped = (x * light[i] + y * light[i + 1] + z * light[i + 2] + light[i + 4]) / (1 + light[i + 4])
        out += light[i + 3] * max(wrapped, np.float32(0))
    return out


@jit(parallel=True)
def sides(s, eye):
    """1 for each face whose front the eye sees, -1 for one whose back it sees, int8 [f]."""
    faces, facing, vertices = s[0], s[13], s[12]
    out = np.empty(faces.shape[0], np.int8)
    for f in prange(faces.shape[0]):
        o, away = faces[f, 0], np.float32(0)
        for axis in range(3):
            away += facing[f, axis] * (vertices[o, axis] - eye[axis])
        out[f] = -1 if away > 0 else 1
    return out


@jit
def _gather(face_id, barycentrics, depth, row, column, factor, ids, sums):
    """The distinct faces among a pixel's samples, how many there are, and of each the sums of its samples: how many,
    three barycentrics, depth."""
    found = 0
    for i in range(row * factor, (row + 1) * factor):
        for j in range(column * factor, (column + 1) * factor):
            f = face_id[i, j]
            if f < 0:
                continue
            k = 0
            while k < found and ids[k] != f:
                k += 1
            if k == found:
                ids[k], found = f, found + 1
                for n in range(5):
                    sums[k, n] = 0
            sums[k, 0] += 1
            for n in range(3):
                sums[k, n + 1] += barycentrics[i, j, n]
            sums[k, 4] += depth[i, j]
    return found


@jit
def _lit(s, f, b0, b1, b2, sign, light):
    """What a white surface sends back at these barycentrics of face f."""
    normals = s[1]
    x = sign * (b0 * normals[f, 0, 0] + b1 * normals[f, 1, 0] + b2 * normals[f, 2, 0])
    y = sign * (b0 * normals[f, 0, 1] + b1 * normals[f, 1, 1] + b2 * normals[f, 2, 1])
    z = sign * (b0 * normals[f, 0, 2] + b1 * normals[f, 1, 2] + b2 * normals[f, 2, 2])
    scale = np.float32(1) / max(np.float32(math.sqrt(x * x + y * y + z * z)), np.float32(1e-12))
    return _irradiance(light, x * scale, y * scale, z * scale)


@jit(parallel=True)
def shade(s, side, face_id, barycentrics, depth, pixel, light, factor, rgba, normal):
    """From factor x factor fragments to each pixel of rgba (straight alpha) and, where it has any elements, of normal
    (the faces' own, in the world, towards the eye, as (n + 1) / 2).

    Each face in a pixel is shaded once, at the mean of its samples there, and counts by their number. light: the
    numbers of lighting.py, or empty to show the base colour as it is."""
    facing = s[13]
    one = np.float32(1)
    height, width = rgba.shape[:2]
    for row in prange(height):
        ids, sums = np.empty(factor * factor, np.int32), np.empty((factor * factor, 5), np.float32)
        for column in range(width):
            red, green, blue, count = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            mx, my, mz = np.float32(0), np.float32(0), np.float32(0)
            for k in range(_gather(face_id, barycentrics, depth, row, column, factor, ids, sums)):
                f, samples = ids[k], sums[k, 0]
                b0, b1, b2 = sums[k, 1] / samples, sums[k, 2] / samples, sums[k, 3] / samples
                wide = sums[k, 4] / samples * pixel * np.float32(math.sqrt(samples))
                r, g, b, _ = _albedo(s, f, b0, b1, b2, wide)
                sign = np.float32(side[f])
                if light.shape[0] > 0:
                    bright = _lit(s, f, b0, b1, b2, sign, light)
                    r, g, b = min(r * bright, one), min(g * bright, one), min(b * bright, one)
                if normal.shape[0] > 0:
                    weight = sign * samples
                    mx, my, mz = mx + weight * facing[f, 0], my + weight * facing[f, 1], mz + weight * facing[f, 2]
                red, green, blue, count = red + samples * r, green + samples * g, blue + samples * b, count + samples
            if count > 0:
                rgba[row, column, 0] = ENCODE[int(red / count * 4095 + 0.5)]
                rgba[row, column, 1] = ENCODE[int(green / count * 4095 + 0.5)]
                rgba[row, column, 2] = ENCODE[int(blue / count * 4095 + 0.5)]
            else:
                rgba[row, column, 0], rgba[row, column, 1], rgba[row, column, 2] = 0, 0, 0
            rgba[row, column, 3] = int(255 * count / (factor * factor) + 0.5)
            if normal.shape[0] > 0:
                length = max(math.sqrt(mx * mx + my * my + mz * mz), 1e-12)
                normal[row, column, 0] = int(127.5 * (mx / length + 1) + 0.5)
                normal[row, column, 1] = int(127.5 * (my / length + 1) + 0.5)
                normal[row, column, 2] = int(127.5 * (mz / length + 1) + 0.5)
