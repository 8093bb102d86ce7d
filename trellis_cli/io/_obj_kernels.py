"""Scanning OBJ text: two compiled passes over the file's bytes, the first to count, the second to fill.

Compiled, because Python objects for each line of a file with ten million faces would not fit into memory.
"""

import numpy as np

from trellis_ops._numba import jit

V, VT, F, USEMTL, MTLLIB = 0, 1, 2, 3, 4
OK, SHORT_VERTEX, BAD_INDEX = 0, 1, 2


@jit
def _blank(c):
    """Space, tab, carriage return or other control byte; newlines are none."""
    return c <= 32 and c != 10


@jit
def _skip(text, i):
    """Past blanks, and past newlines that a backslash continues."""
    n = text.shape[0]
    while i < n:
        if _blank(text[i]):
            i += 1
        elif text[i] == 92 and i + 1 < n and (text[i + 1] == 10 or (text[i + 1] == 13 and i + 2 < n)):
            i += 2 if text[i + 1] == 10 else 3
        else:
            break
    return i


@jit
def _line_end(text, i):
    while i < text.shape[0] and text[i] != 10:
        i += 1
    return i


@jit
def _keyword(text, i):
    """(kind, where its arguments start) of the line at i; kind -1 for all that is not read."""
    n = text.shape[0]
    if i + 1 < n and text[i] == 118:  # v
        if _blank(text[i + 1]):
            return V, i + 1
        if i + 2 < n and text[i + 1] == 116 and _blank(text[i + 2]):
            return VT, i + 2
    elif i + 1 < n and text[i] == 102 and _blank(text[i + 1]):  # f
        return F, i + 1
    elif i + 6 < n and _blank(text[i + 6]):
        if text[i] == 117 and text[i + 1] == 115 and text[i + 2] == 101 and text[i + 3] == 109 and text[i + 5] == 108:
            return USEMTL, i + 6  # usem.l
        if text[i] == 109 and text[i + 1] == 116 and text[i + 2] == 108 and text[i + 3] == 108 and text[i + 5] == 98:
            return MTLLIB, i + 6  # mtll.b
    return -1, i


@jit
def _integer(text, i):
    """(value, next place); the place does not move where there is no number."""
    n, start, sign, value = text.shape[0], i, 1, np.int64(0)
    if i < n and (text[i] == 45 or text[i] == 43):
        sign = -1 if text[i] == 45 else 1
        i += 1
    first = i
    while i < n and 48 <= text[i] <= 57:
        value = min(value * 10 + (text[i] - 48), np.int64(1) << 40)
        i += 1
    return (sign * value, i) if i > first else (np.int64(0), start)


@jit
def _number(text, i):
    """(value, next place) of a decimal number; NaN for a word in its place, and no move at the end of the line."""
    i = _skip(text, i)
    n = text.shape[0]
    if i >= n or text[i] == 10 or text[i] == 35:
        return np.nan, -1
    sign, value, digits, scale = 1.0, 0.0, 0, 0
    if text[i] == 45 or text[i] == 43:
        sign = -1.0 if text[i] == 45 else 1.0
        i += 1
    point = False
    while i < n:
        if 48 <= text[i] <= 57:
            value = value * 10.0 + (text[i] - 48)
            digits += 1
            scale += 1 if point else 0
        elif text[i] == 46 and not point:
            point = True
        else:
            break
        i += 1
    if digits > 0 and i < n and (text[i] == 101 or text[i] == 69):
        power, after = _integer(text, i + 1)
        if after > i + 1:
            scale, i = scale - power, after
    bad = digits == 0
    while i < n and not _blank(text[i]) and text[i] != 10:
        bad, i = True, i + 1  # letters stuck to a number, "nan", "inf"
    value = value / 10.0 ** min(scale, 400) if scale > 0 else value * 10.0 ** min(-scale, 400)
    return (np.nan if bad else sign * value), i


@jit
def _corners_in(text, i):
    """How many corners the face line at i names."""
    count = 0
    while True:
        i = _skip(text, i)
        value, after = _integer(text, i)
        if after == i:
            return count
        count += 1
        i = after
        while i < text.shape[0] and not _blank(text[i]) and text[i] != 10:
            i += 1


@jit
def _logical_end(text, i):
    """The newline that ends the line, after those that a backslash continues."""
    end = _line_end(text, i)
    while end < text.shape[0] and end > 0:
        last = end - 1
        while last > i and text[last] == 13:
            last -= 1
        if last < i or text[last] != 92:
            break
        end = _line_end(text, end + 1)
    return end


@jit
def count(text):
    """[v, vt, triangles, names, 1 if a vertex has a colour] of the file."""
    out = np.zeros(5, np.int64)
    i, n = 0, text.shape[0]
    while i < n:
        i = _skip(text, i)
        kind, at = _keyword(text, i)
        if kind == V:
            out[0] += 1
            if out[0] <= 64 and out[4] == 0:  # colours are on all vertices or none: the first ones tell
                numbers = 0
                while at >= 0:
                    value, at = _number(text, at)
                    numbers += 1 if at >= 0 else 0
                out[4] = 1 if numbers >= 6 else 0
        elif kind == VT:
            out[1] += 1
        elif kind == F:
            out[2] += max(_corners_in(text, at) - 2, 0)
        elif kind >= 0:
            out[3] += 1
        i = _logical_end(text, i) + 1
    return out


@jit
def _corner(text, i, num_vertices, num_uvs):
    """(vertex, uv or -1, next place) of one `v/vt/vn`; vertex -1 where it names none. Indices count from 1, or back
    from the last one read so far when negative."""
    vertex, i = _integer(text, i)
    uv = np.int64(0)
    if i < text.shape[0] and text[i] == 47:
        uv, i = _integer(text, i + 1)
    while i < text.shape[0] and not _blank(text[i]) and text[i] != 10:
        i += 1
    vertex = vertex - 1 if vertex > 0 else num_vertices + vertex
    uv = uv - 1 if uv >= 0 else num_uvs + uv
    return vertex, uv, i


@jit
def fill(text, vertices, colours, uvs, faces, face_uvs, names):
    """Fill the arrays that `count` sized. names [k, 4]: kind, first and last byte of the name, triangles before it.

    Returns (what is wrong or OK, in which line). Vertices may be named before they come, so that indices are only
    checked for their sign here."""
    v, t, f, k, line = 0, 0, 0, 0, 0
    i, n = 0, text.shape[0]
    while i < n:
        line += 1
        i = _skip(text, i)
        kind, at = _keyword(text, i)
        end = _logical_end(text, i)
        if kind == V:
            for axis in range(3):
                vertices[v, axis], at = _number(text, at)
                if at < 0:
                    return SHORT_VERTEX, line
            for channel in range(colours.shape[1]):
                value, after = _number(text, at)
                colours[v, channel] = 1.0 if after < 0 else value
                at = at if after < 0 else after
            v += 1
        elif kind == VT:
            u, after = _number(text, at)
            w, after = _number(text, after) if after >= 0 else (0.0, -1)
            uvs[t, 0], uvs[t, 1] = u, w if after >= 0 else 0.0
            t += 1
        elif kind == F:
            first = last = (np.int64(0), np.int64(0))
            for corner in range(_corners_in(text, at)):
                vertex, uv, at = _corner(text, _skip(text, at), v, t)
                if vertex < 0 or vertex >= vertices.shape[0]:
                    return BAD_INDEX, line
                uv = uv if uv < uvs.shape[0] else np.int64(-1)
                if corner >= 2:
                    faces[f, 0], faces[f, 1], faces[f, 2] = first[0], last[0], vertex
                    face_uvs[f, 0], face_uvs[f, 1], face_uvs[f, 2] = first[1], last[1], uv
                    f += 1
                first = (vertex, uv) if corner == 0 else first
                last = (vertex, uv)
        elif kind >= 0:
            names[k, 0], names[k, 1], names[k, 2], names[k, 3] = kind, at, end, f
            k += 1
        i = end + 1
    return OK, 0
