"""Stamps: a plain file that proves what made it, so that the same work need not be done again to know that it is done.

A stamp stands where each format keeps remarks (glTF `asset.extras`, a comment line of PLY and OBJ, the head of binary
STL). It is the sha256 of the work (a digest of everything that decides the result) and of the file's own bytes with the
stamp left blank; so a file that was edited since, or made by other work, does not match.

Doing the work again and comparing bytes would be as right, but takes seconds an asset, and a stopped batch would start
over. A list of finished files beside them would be as quick, but says nothing about a file that has changed or moved.
"""

import hashlib
import re

BLANK = "trellis:" + "0" * 64
_STAMP = re.compile(rb"trellis:[0-9a-f]{64}")


def stamped(data: bytes, work: str) -> bytes:
    """The file's bytes with the stamp of `work` for the first BLANK in them; without a BLANK, as they are."""
    return data.replace(BLANK.encode(), _stamp(data, work), 1)


def is_stamped(data: bytes, work: str) -> bool:
    """Whether these bytes are exactly what `work` made."""
    found = _STAMP.search(data)
    if found is None:
        return False
    blank = data[: found.start()] + BLANK.encode() + data[found.end() :]
    return found[0] == _stamp(blank, work)


def _stamp(blank: bytes, work: str) -> bytes:
    return b"trellis:" + hashlib.sha256(work.encode() + b"\0" + blank).hexdigest().encode()
