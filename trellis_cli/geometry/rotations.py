"""Rotations: quaternions (w, x, y, z), matrices on column vectors, and the turn between z up and y up."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# (x, y, z) -> (x, z, -y): from this program's z up to the y up of glTF; rows of points turn by `points @ M.T`.
Z_UP_TO_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
# (x, y, z) -> (x, -z, y), the way back.
Y_UP_TO_Z_UP = Z_UP_TO_Y_UP.T.copy()


def quat_to_matrix(quats: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrices of quaternions of any length but zero (that gives NaN): they are normalised first."""
    w, x, y, z = (quats / quats.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quat(matrices: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """Unit quaternions of rotation matrices, with w >= 0.

    Of the four ways to write the answer (each divides by one component), the one whose divisor is largest is taken.
    """
    m = matrices
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    # Row k is 4 q_k q: proportional to the quaternion, and its k-th entry is 4 q_k^2.
    rows = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, wx, wy, wz], dim=-1),
            torch.stack([wx, 1 + xx - yy - zz, xy, xz], dim=-1),
            torch.stack([wy, xy, 1 - xx + yy - zz, yz], dim=-1),
            torch.stack([wz, xz, yz, 1 - xx - yy + zz], dim=-1),
        ],
        dim=-2,
    )
    largest = rows.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)[..., None, None].expand(*m.shape[:-2], 1, 4)
    quats = rows.gather(-2, largest)[..., 0, :]
    quats = quats / quats.norm(dim=-1, keepdim=True)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def quat_multiply(a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """The rotation b, then a: quat_to_matrix(a b) = quat_to_matrix(a) @ quat_to_matrix(b)."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )
