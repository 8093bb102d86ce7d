"""The numba kernels of the CPU rasteriser, in a file of their own so that numba is imported only when one runs."""

import math

import numpy as np

from trellis_ops._numba import jit, prange

BAND = 32  # rows filled by one thread at a time
SLACK = 1e-3  # pixels by which a face's box is widened, so that rounding never cuts an edge off


@jit(parallel=True)
def to_camera(positions, w2c):
    """[v, 3] float64 in camera space."""
    out = np.empty((positions.shape[0], 3), np.float64)
    for v in prange(positions.shape[0]):
        x, y, z = np.float64(positions[v, 0]), np.float64(positions[v, 1]), np.float64(positions[v, 2])
        for k in range(3):
            out[v, k] = w2c[k, 0] * x + w2c[k, 1] * y + w2c[k, 2] * z + w2c[k, 3]
    return out


@jit
def _extend(box, x, y, z, lens, width, height):
    """Widen box (left, right, top, bottom; in pixels) by the projection of a point with z > 0."""
    column = (lens[0] * x / z + lens[2]) * width - 0.5
    row = (lens[1] * y / z + lens[3]) * height - 0.5
    return min(box[0], column), max(box[1], column), min(box[2], row), max(box[3], row)


@jit(parallel=True)
def set_up(camera, faces, lens, width, height, near):
    """Of each face: its three side functions as (d/dcolumn, d/drow, at pixel 0) and its determinant [f, 10]; its box
    in pixels, first and last row, first and last column [f, 4], empty (last < first) when it cannot be seen."""
    num_faces = faces.shape[0]
    sides = np.empty((num_faces, 10), np.float64)
    boxes = np.empty((num_faces, 4), np.int32)
    step_x, step_y = 1.0 / (width * lens[0]), 1.0 / (height * lens[1])
    first_x, first_y = (0.5 / width - lens[2]) / lens[0], (0.5 / height - lens[3]) / lens[1]
    for f in prange(num_faces):
        boxes[f, 0], boxes[f, 1], boxes[f, 2], boxes[f, 3] = 0, -1, 0, -1
        box = (np.inf, -np.inf, np.inf, -np.inf)
        for k in range(3):
            p, q = faces[f, k], faces[f, (k + 1) % 3]
            pz, qz = camera[p, 2], camera[q, 2]
            if pz >= near:
                box = _extend(box, camera[p, 0], camera[p, 1], pz, lens, width, height)
            if (pz < near) != (qz < near):  # the side meets the near plane: the part in front ends there
                t = (near - pz) / (qz - pz)
                x = camera[p, 0] + t * (camera[q, 0] - camera[p, 0])
                y = camera[p, 1] + t * (camera[q, 1] - camera[p, 1])
                box = _extend(box, x, y, near, lens, width, height)
        left, right = max(box[0] - SLACK, 0.0), min(box[1] + SLACK, width - 1.0)
        top, bottom = max(box[2] - SLACK, 0.0), min(box[3] + SLACK, height - 1.0)
        left, top, right, bottom = math.ceil(left), math.ceil(top), math.floor(right), math.floor(bottom)
        if left > right or top > bottom:
            continue
        total = 0.0
        for k in range(3):
            p, q = faces[f, (k + 1) % 3], faces[f, (k + 2) % 3]
            nx = camera[p, 1] * camera[q, 2] - camera[p, 2] * camera[q, 1]
            ny = camera[p, 2] * camera[q, 0] - camera[p, 0] * camera[q, 2]
            nz = camera[p, 0] * camera[q, 1] - camera[p, 1] * camera[q, 0]
            sides[f, 3 * k] = nx * step_x
            sides[f, 3 * k + 1] = ny * step_y
            sides[f, 3 * k + 2] = nx * first_x + ny * first_y + nz
            if k == 0:
                o = faces[f, 0]
                total = camera[o, 0] * nx + camera[o, 1] * ny + camera[o, 2] * nz
        sides[f, 9] = total
        boxes[f, 0], boxes[f, 1], boxes[f, 2], boxes[f, 3] = top, bottom, left, right
    return sides, boxes


@jit
def _fill_face(side, f, top, bottom, left, right, near, behind, face_id, depth, nearest, base):
    """Draw face f into rows top..bottom (inclusive); `nearest`, the depth in float64, starts at row `base`."""
    ax, ay, ac, bx, by, bc, cx, cy, cc, det = side
    for row in range(top, bottom + 1):
        a0, b0, c0 = ac + ay * row, bc + by * row, cc + cy * row
        for column in range(left, right + 1):
            a, b, c = a0 + ax * column, b0 + bx * column, c0 + cx * column
            if not ((a >= 0 and b >= 0 and c >= 0) or (a <= 0 and b <= 0 and c <= 0)):
                continue
            total = a + b + c
            if total == 0:
                continue
            z = det / total
            if z < near or not z < nearest[row - base, column]:
                continue
            if behind.shape[0] > 0:
                depth[row, column] = z  # compared as it is reported, so that a layer never lies behind itself
                if not depth[row, column] > behind[row, column]:
                    continue
            nearest[row - base, column] = z
            face_id[row, column] = f


@jit(parallel=True)
def fill(sides, boxes, near, behind, face_id, barycentrics, depth):
    """Write every element of the three images."""
    height, width = face_id.shape
    for band in prange((height + BAND - 1) // BAND):
        start, stop = band * BAND, min((band + 1) * BAND, height)
        nearest = np.full((stop - start, width), np.inf)
        face_id[start:stop] = -1
        for f in range(boxes.shape[0]):
            top, bottom = max(boxes[f, 0], start), min(boxes[f, 1], stop - 1)
            if top <= bottom:
                s = sides[f]
                side = (s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9])
                _fill_face(side, f, top, bottom, boxes[f, 2], boxes[f, 3], near, behind, face_id, depth, nearest, start)
        for row in range(start, stop):
            for column in range(width):
                f = face_id[row, column]
                if f < 0:
                    depth[row, column] = 0.0
                    for k in range(3):
                        barycentrics[row, column, k] = 0.0
                    continue
                a = sides[f, 2] + sides[f, 1] * row + sides[f, 0] * column
                b = sides[f, 5] + sides[f, 4] * row + sides[f, 3] * column
                c = sides[f, 8] + sides[f, 7] * row + sides[f, 6] * column
                scale = 1.0 / (a + b + c)
                depth[row, column] = nearest[row - start, column]
                barycentrics[row, column, 0] = a * scale
                barycentrics[row, column, 1] = b * scale
                barycentrics[row, column, 2] = c * scale
