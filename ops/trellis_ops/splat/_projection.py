"""Gaussians to footprints on the image and back: numba, in float64, one Gaussian and view at a time.

A row is one Gaussian in one view, numbered view * g + gaussian. Small matrices are tuples, row by row: arrays would be
allocated anew for each row.
"""

import numpy as np

from trellis_ops._numba import jit, prange

# As in reference.py and _tiles.py; written again because a kernel's cache notices changes of its own file alone.
NEAR = 0.2
TILE = 16  # pixels along a tile's edge
LOG2E = 1.4426950408889634


@jit
def _times(m, r):
    """A 2 x 3 matrix times a 3 x 3 one."""
    return (
        m[0] * r[0] + m[1] * r[3] + m[2] * r[6],
        m[0] * r[1] + m[1] * r[4] + m[2] * r[7],
        m[0] * r[2] + m[1] * r[5] + m[2] * r[8],
        m[3] * r[0] + m[4] * r[3] + m[5] * r[6],
        m[3] * r[1] + m[4] * r[4] + m[5] * r[7],
        m[3] * r[2] + m[4] * r[5] + m[5] * r[8],
    )


@jit
def _transposed(r):
    return (r[0], r[3], r[6], r[1], r[4], r[7], r[2], r[5], r[8])


@jit
def _unit(q):
    norm = np.sqrt(np.float64(q[0]) ** 2 + np.float64(q[1]) ** 2 + np.float64(q[2]) ** 2 + np.float64(q[3]) ** 2)
    return norm, (q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm)


@jit
def _rotation(unit):
    w, x, y, z = unit
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip


@jit
def _in_camera(mean, w2c):
    x, y, z = np.float64(mean[0]), np.float64(mean[1]), np.float64(mean[2])
    return (
        w2c[0, 0] * x + w2c[0, 1] * y + w2c[0, 2] * z + w2c[0, 3],
        w2c[1, 0] * x + w2c[1, 1] * y + w2c[1, 2] * z + w2c[1, 3],
        w2c[2, 0] * x + w2c[2, 1] * y + w2c[2, 2] * z + w2c[2, 3],
    )


@jit
def _world_rotation(w2c):
    return (w2c[0, 0], w2c[0, 1], w2c[0, 2], w2c[1, 0], w2c[1, 1], w2c[1, 2], w2c[2, 0], w2c[2, 1], w2c[2, 2])


@jit
def _jacobian(camera, K, width, height):
    """d (u, v) / d (x, y, z), with the slopes x / z and y / z held to the image and 15 % of it on each side."""
    x, y, z = camera
    fx, fy, cx, cy = K[0, 0] * width, K[1, 1] * height, K[0, 2] * width, K[1, 2] * height
    slope_x = min(max(x / z, -(cx + 0.15 * width) / fx), (1.15 * width - cx) / fx)
    slope_y = min(max(y / z, -(cy + 0.15 * height) / fy), (1.15 * height - cy) / fy)
    return (fx / z, 0.0, -fx * slope_x / z, 0.0, fy / z, -fy * slope_y / z), slope_x, slope_y


@jit
def _covariance(u, s):
    """The 2D covariance a, b, c of [[a, b], [b, c]] before the filter, from U = J W R and the scales."""
    h0, h1, h2 = u[0] * s[0], u[1] * s[1], u[2] * s[2]
    h3, h4, h5 = u[3] * s[0], u[4] * s[1], u[5] * s[2]
    return h0 * h0 + h1 * h1 + h2 * h2, h0 * h3 + h1 * h4 + h2 * h5, h3 * h3 + h4 * h4 + h5 * h5


@jit(parallel=True)
def project(means, quats, scales, opacities, w2c, K, width, height, mip_filter, depths, centres, conics, boxes):
    """Fill, for each row, its depth, its centre in pixels [2], its conic and its box of tiles (x0, y0, x1, y1).

    conics [., 5]: the exponent's factors of dx^2, dx dy and dy^2 to base 2, the opacity after the filter, and the
    half height in pixels of the part with alpha >= 1/255. A row that is not drawn gets an empty box.
    """
    g = len(means)
    for row in prange(len(w2c) * g):
        view, i = row // g, row % g
        boxes[row, :] = 0
        camera = _in_camera(means[i], w2c[view])
        depths[row] = camera[2]
        if not camera[2] > NEAR:
            continue
        kv = K[view]
        jacobian, _, _ = _jacobian(camera, kv, width, height)
        rotation = _rotation(_unit(quats[i])[1])
        a0, b, c0 = _covariance(_times(_times(jacobian, _world_rotation(w2c[view])), rotation), scales[i])
        det_before = a0 * c0 - b * b
        a, c = a0 + mip_filter, c0 + mip_filter
        det = a * c - b * b
        if not (det_before > 1e-6 and det > 1e-6):
            continue
        opacity = opacities[i] * np.sqrt(det_before / (det + 1e-6) + 1e-6)
        if not opacity * 255 >= 1:
            continue
        # alpha >= 1/255 inside the ellipse of Mahalanobis radius sqrt(reach); a little more, for float32 rounding
        reach = 2 * np.log(255 * opacity) + 1e-3
        half_x, half_y = np.sqrt(reach * a) + 1e-3, np.sqrt(reach * c) + 1e-3
        u = kv[0, 0] * width * camera[0] / camera[2] + kv[0, 2] * width
        v = kv[1, 1] * height * camera[1] / camera[2] + kv[1, 2] * height
        if not (u + half_x > 0 and u - half_x < width and v + half_y > 0 and v - half_y < height):
            continue
        centres[row, 0], centres[row, 1] = u, v
        conics[row, 0] = -0.5 * LOG2E * c / det
        conics[row, 1] = LOG2E * b / det
        conics[row, 2] = -0.5 * LOG2E * a / det
        conics[row, 3] = opacity
        conics[row, 4] = half_y
        boxes[row, 0] = int(max(u - half_x, 0.0)) // TILE
        boxes[row, 1] = int(max(v - half_y, 0.0)) // TILE
        boxes[row, 2] = int(min(u + half_x, width - 1.0)) // TILE + 1
        boxes[row, 3] = int(min(v + half_y, height - 1.0)) // TILE + 1


@jit
def _covariance_gradient(a0, b, c0, mip_filter, opacity, g_conic, g_opacity):
    """Gradients to a, b, c (b once) and to the opacity, from those of the conic (A, B, C) and filtered opacity."""
    a, c = a0 + mip_filter, c0 + mip_filter
    det_before, det = a0 * c0 - b * b, a * c - b * b
    ga, gb, gc = g_conic
    inv = 1 / (det * det)
    g_a = (-c * c * ga + b * c * gb - b * b * gc) * inv
    g_b = (2 * b * c * ga - (a * c + b * b) * gb + 2 * a * b * gc) * inv
    g_c = (-b * b * ga + a * b * gb - a * a * gc) * inv
    shrink = np.sqrt(det_before / (det + 1e-6) + 1e-6)
    g_ratio = g_opacity * opacity * 0.5 / shrink
    g_before = g_ratio / (det + 1e-6)
    g_det = -g_ratio * det_before / (det + 1e-6) ** 2
    g_a += g_before * c0 + g_det * c
    g_c += g_before * a0 + g_det * a
    g_b -= 2 * b * (g_before + g_det)
    return g_a, g_b, g_c, g_opacity * shrink


@jit
def _quat_gradient(unit, norm, r):
    """The gradient to a quaternion of any length, from that of its rotation matrix."""
    w, x, y, z = unit
    gw = 2 * (x * (r[7] - r[5]) + y * (r[2] - r[6]) + z * (r[3] - r[1]))
    gx = 2 * (y * (r[1] + r[3]) + z * (r[2] + r[6]) + w * (r[7] - r[5]) - 2 * x * (r[4] + r[8]))
    gy = 2 * (x * (r[1] + r[3]) + z * (r[5] + r[7]) + w * (r[2] - r[6]) - 2 * y * (r[0] + r[8]))
    gz = 2 * (x * (r[2] + r[6]) + y * (r[5] + r[7]) + w * (r[3] - r[1]) - 2 * z * (r[0] + r[4]))
    along = gw * w + gx * x + gy * y + gz * z
    return (gw - along * w) / norm, (gx - along * x) / norm, (gy - along * y) / norm, (gz - along * z) / norm


@jit
def _camera_gradient(camera, K, width, height, slope_x, slope_y, g_jac, g_u, g_v):
    """The gradient to a centre in camera coordinates, from those of its Jacobian [2 x 3] and of its pixel."""
    x, y, z = camera
    fx, fy = K[0, 0] * width, K[1, 1] * height
    gx, gy = g_u * fx / z, g_v * fy / z
    gz = -(g_u * fx * x + g_v * fy * y) / (z * z)
    gz += (fx * (g_jac[2] * slope_x - g_jac[0]) + fy * (g_jac[5] * slope_y - g_jac[4])) / (z * z)
    if slope_x == x / z:  # not held to the image's border
        gx -= g_jac[2] * fx / (z * z)
        gz += g_jac[2] * fx * x / (z * z * z)
    if slope_y == y / z:
        gy -= g_jac[5] * fy / (z * z)
        gz += g_jac[5] * fy * y / (z * z * z)
    return gx, gy, gz


@jit(parallel=True)
def project_backward(
    means, quats, scales, opacities, w2c, K, width, height, mip_filter, starts, parts,
    g_means, g_quats, g_scales, g_opacities, g_colours,
):  # fmt: skip
    """Sum each row's gradients over its tiles, in order, and carry them to the Gaussian's parameters, view by view.

    parts [m, 9], those of row r at starts[r]:starts[r + 1]: gradients to the centre (u, v), to A, B, C of the conic
    (natural base, B once), to the filtered opacity and to the colour.
    """
    g = len(means)
    for i in prange(g):
        norm, unit = _unit(quats[i])
        rotation = _rotation(unit)
        s = scales[i]
        for view in range(len(w2c)):
            row = view * g + i
            if starts[row] == starts[row + 1]:
                continue
            u = v = ga = gb = gc = go = red = green = blue = 0.0
            for k in range(starts[row], starts[row + 1]):
                u, v = u + parts[k, 0], v + parts[k, 1]
                ga, gb, gc = ga + parts[k, 2], gb + parts[k, 3], gc + parts[k, 4]
                go += parts[k, 5]
                red, green, blue = red + parts[k, 6], green + parts[k, 7], blue + parts[k, 8]
            camera = _in_camera(means[i], w2c[view])
            world = _world_rotation(w2c[view])
            jacobian, slope_x, slope_y = _jacobian(camera, K[view], width, height)
            m = _times(jacobian, world)
            t = _times(m, rotation)
            a0, b, c0 = _covariance(t, s)
            g_a, g_b, g_c, g_o = _covariance_gradient(a0, b, c0, mip_filter, opacities[i], (ga, gb, gc), go)
            # H = M R S and cov = H H^T; with t = M R: dH = 2 G H, and G has b's gradient split over two entries
            h0, h1, h2, h3, h4, h5 = t[0] * s[0], t[1] * s[1], t[2] * s[2], t[3] * s[0], t[4] * s[1], t[5] * s[2]
            d0, d1, d2 = 2 * g_a * h0 + g_b * h3, 2 * g_a * h1 + g_b * h4, 2 * g_a * h2 + g_b * h5
            d3, d4, d5 = g_b * h0 + 2 * g_c * h3, g_b * h1 + 2 * g_c * h4, g_b * h2 + 2 * g_c * h5
            g_scales[i, 0] += d0 * t[0] + d3 * t[3]
            g_scales[i, 1] += d1 * t[1] + d4 * t[4]
            g_scales[i, 2] += d2 * t[2] + d5 * t[5]
            g_t = (d0 * s[0], d1 * s[1], d2 * s[2], d3 * s[0], d4 * s[1], d5 * s[2])
            g_rotation = (
                m[0] * g_t[0] + m[3] * g_t[3], m[0] * g_t[1] + m[3] * g_t[4], m[0] * g_t[2] + m[3] * g_t[5],
                m[1] * g_t[0] + m[4] * g_t[3], m[1] * g_t[1] + m[4] * g_t[4], m[1] * g_t[2] + m[4] * g_t[5],
                m[2] * g_t[0] + m[5] * g_t[3], m[2] * g_t[1] + m[5] * g_t[4], m[2] * g_t[2] + m[5] * g_t[5],
            )  # fmt: skip
            q0, q1, q2, q3 = _quat_gradient(unit, norm, g_rotation)
            g_quats[i, 0] += q0
            g_quats[i, 1] += q1
            g_quats[i, 2] += q2
            g_quats[i, 3] += q3
            g_jac = _times(_times(g_t, _transposed(rotation)), _transposed(world))
            x, y, z = _camera_gradient(camera, K[view], width, height, slope_x, slope_y, g_jac, u, v)
            g_means[i, 0] += world[0] * x + world[3] * y + world[6] * z
            g_means[i, 1] += world[1] * x + world[4] * y + world[7] * z
            g_means[i, 2] += world[2] * x + world[5] * y + world[8] * z
            g_opacities[i] += g_o
            g_colours[i, 0] += red
            g_colours[i, 1] += green
            g_colours[i, 2] += blue
