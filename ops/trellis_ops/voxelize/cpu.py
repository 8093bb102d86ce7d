"""numba, one triangle a thread: columns along the triangle's steepest axis, then the few voxels near its plane."""

import numpy as np
import torch
from torch import Tensor

from trellis_ops._numba import jit, prange
from trellis_ops.voxelize import TOUCH

SLAB_BYTES = 1 << 26  # the marks of one pass; a grid up to 406^3 is done in one


def refusal(vertices: Tensor, faces: Tensor, *, resolution: int) -> str | None:
    if vertices.device.type != "cpu":
        return f"vertices is on {vertices.device}, not on the CPU"
    return None


def run(vertices: Tensor, faces: Tensor, *, resolution: int) -> Tensor:
    points = (vertices.detach().double().numpy() + 0.5) * resolution
    corners = faces.cpu().long().numpy()
    layers = min(resolution, max(1, SLAB_BYTES // resolution**2))
    found = []
    for first in range(0, resolution, layers):
        marks = np.zeros((min(layers, resolution - first), resolution, resolution), dtype=np.uint8)
        _mark(points, corners, first, marks, TOUCH)
        index = np.flatnonzero(marks.reshape(-1).view(bool))
        found.append(np.stack(np.unravel_index(index, marks.shape), axis=1) + np.array([first, 0, 0]))
    return torch.from_numpy(np.concatenate(found).astype(np.int32))


@jit
def _edge_axis(ap, aq, bp, bq, cp, cq, touch):
    """The axis across edge a-b in the plane (p, q), and between which values on it voxel centres are in reach."""
    p, q = aq - bq, bp - ap
    edge, tip = p * ap + q * aq, p * cp + q * cq
    other = p * bp + q * bq
    reach = (0.5 + touch) * (abs(p) + abs(q))
    return p, q, min(edge, other, tip) - reach, max(edge, other, tip) + reach


@jit
def _meets(axis, p, q):
    value = axis[0] * p + axis[1] * q
    return axis[2] <= value <= axis[3]


@jit
def _span(a, b, c, size, touch):
    """First and last voxel along one axis that the closed interval about a, b, c touches, within the grid."""
    low = max(0, int(np.ceil(min(a, b, c) - touch)) - 1)
    return low, min(size - 1, int(np.floor(max(a, b, c) + touch)))


@jit
def _mark_triangle(a, b, c, first, marks, touch):
    # (u, w) is the plane the columns stand on and d the axis along them: the largest component of the normal, so
    # that the plane crosses a column in at most five voxels.
    ex, ey, ez = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    fx, fy, fz = c[0] - b[0], c[1] - b[1], c[2] - b[2]
    normal = (ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx)
    d = 0
    if abs(normal[1]) > abs(normal[d]):
        d = 1
    if abs(normal[2]) > abs(normal[d]):
        d = 2
    u, w = (d + 1) % 3, (d + 2) % 3
    size = marks.shape[1]

    au, aw, ad, bu, bw, bd, cu, cw, cd = a[u], a[w], a[d], b[u], b[w], b[d], c[u], c[w], c[d]
    uw0, uw1, uw2 = (
        _edge_axis(au, aw, bu, bw, cu, cw, touch),
        _edge_axis(bu, bw, cu, cw, au, aw, touch),
        _edge_axis(cu, cw, au, aw, bu, bw, touch),
    )
    wd0, wd1, wd2 = (
        _edge_axis(aw, ad, bw, bd, cw, cd, touch),
        _edge_axis(bw, bd, cw, cd, aw, ad, touch),
        _edge_axis(cw, cd, aw, ad, bw, bd, touch),
    )
    du0, du1, du2 = (
        _edge_axis(ad, au, bd, bu, cd, cu, touch),
        _edge_axis(bd, bu, cd, cu, ad, au, touch),
        _edge_axis(cd, cu, ad, au, bd, bu, touch),
    )
    nu, nw, nd = normal[u], normal[w], normal[d]
    na, nb, nc = nu * au + nw * aw + nd * ad, nu * bu + nw * bw + nd * bd, nu * cu + nw * cw + nd * cd
    reach = (0.5 + touch) * (abs(nu) + abs(nw) + abs(nd))
    low_n, high_n = min(na, nb, nc) - reach, max(na, nb, nc) + reach

    first_u, last_u = _span(au, bu, cu, size, touch)
    first_w, last_w = _span(aw, bw, cw, size, touch)
    first_d, last_d = _span(ad, bd, cd, size, touch)
    for i in range(first_u, last_u + 1):
        pu = i + 0.5
        for j in range(first_w, last_w + 1):
            pw = j + 0.5
            if not (_meets(uw0, pu, pw) and _meets(uw1, pu, pw) and _meets(uw2, pu, pw)):
                continue
            plane = nu * pu + nw * pw
            low, high = first_d, last_d
            if nd != 0.0:
                # Where the plane enters and leaves the column, a voxel wider than the exact test below.
                one, two = (low_n - plane) / nd, (high_n - plane) / nd
                low = max(low, int(max(min(one, two) - 1.5, -1.0)))
                high = min(high, int(min(max(one, two) + 1.5, float(size))))
            for k in range(low, high + 1):
                pd = k + 0.5
                if (
                    low_n <= plane + nd * pd <= high_n
                    and _meets(wd0, pw, pd)
                    and _meets(wd1, pw, pd)
                    and _meets(wd2, pw, pd)
                    and _meets(du0, pd, pu)
                    and _meets(du1, pd, pu)
                    and _meets(du2, pd, pu)
                ):
                    x, y, z = (k, i, j) if d == 0 else ((j, k, i) if d == 1 else (i, j, k))
                    if first <= x < first + marks.shape[0]:
                        marks[x - first, y, z] = 1  # several threads may, and all write the same


@jit(parallel=True)
def _mark(points, faces, first, marks, touch):
    """Set marks[x - first, y, z] for every voxel that a face touches; points in voxels."""
    last = first + marks.shape[0]
    for f in prange(len(faces)):
        ia, ib, ic = faces[f, 0], faces[f, 1], faces[f, 2]
        a = (points[ia, 0], points[ia, 1], points[ia, 2])
        b = (points[ib, 0], points[ib, 1], points[ib, 2])
        c = (points[ic, 0], points[ic, 1], points[ic, 2])
        if min(a[0], b[0], c[0]) - touch <= last and max(a[0], b[0], c[0]) + touch >= first:
            _mark_triangle(a, b, c, first, marks, touch)
