"""Cropping a picture to its object."""

import numpy as np
import pytest
import torch
from PIL import Image

from trellis_cli.data.object_crop import as_tensor, crop_to_object, on_black


def picture(width: int, height: int, box: tuple[int, int, int, int], alpha: int = 255) -> Image.Image:
    """Red where the box (left, top, right, bottom; the last ones outside) is, nothing elsewhere."""
    array = np.zeros((height, width, 4), np.uint8)
    array[box[1] : box[3], box[0] : box[2]] = (255, 0, 0, alpha)
    return Image.fromarray(array)


def extent(cropped: Image.Image) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(np.asarray(cropped)[..., 3] > 127)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_the_object_stands_in_the_middle_with_a_margin():
    cropped = crop_to_object(picture(200, 100, (120, 20, 181, 51)), size=144)
    assert cropped is not None and cropped.size == (144, 144)
    left, top, right, bottom = extent(cropped)
    assert right - left == pytest.approx(144 * 61 / 72, abs=3) and abs(left - (144 - right)) <= 3
    assert abs(top - (144 - bottom)) <= 3


def test_a_crop_may_leave_the_picture_and_is_transparent_there():
    cropped = crop_to_object(picture(50, 50, (0, 0, 50, 50)), size=60)
    alpha = np.asarray(cropped)[..., 3]
    assert alpha[:3].max() < 5 > alpha[:, :3].max() and alpha[30, 30] == 255


def test_what_is_hardly_there_does_not_count():
    faint = picture(100, 100, (0, 0, 100, 100), alpha=100)
    faint.paste((255, 0, 0, 255), (40, 40, 61, 61))
    wide, near = (crop_to_object(faint, size=48, threshold=t) for t in (0, 0.8))
    assert wide is not None and near is not None
    assert np.asarray(near)[24, 1, 3] > 80 and np.asarray(wide)[24, 1, 3] < 5
    assert crop_to_object(picture(20, 20, (5, 5, 9, 9), alpha=100), size=8) is None


def test_a_dot_is_an_object():
    assert crop_to_object(picture(20, 20, (7, 7, 8, 8)), size=8) is not None


def test_black_behind_what_is_half_there():
    rgba = torch.tensor([1.0, 0.5, 0.0, 0.5])[:, None, None]
    torch.testing.assert_close(on_black(rgba).flatten(), torch.tensor([127.0, 63.0, 0.0]) / 255)
    assert as_tensor(picture(2, 1, (0, 0, 1, 1)))[:, 0].T.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]
