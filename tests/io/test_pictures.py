"""Contact sheets: rows of pictures, each under its text."""

import numpy as np

from trellis_cli.io.pictures import grid, labelled

GREY = np.full((32, 40, 3), 128, np.uint8)


def test_without_texts_it_is_the_grid() -> None:
    np.testing.assert_array_equal(labelled([("", [GREY, GREY]), ("", [GREY, GREY])]), grid([GREY] * 4, columns=2))


def test_each_row_has_its_text_above() -> None:
    sheet = labelled([("chair", [GREY, GREY]), ("ship", [GREY, GREY])])
    height = (len(sheet) - 2 * 32 - 3 * 2) // 2
    first, second = sheet[:height], sheet[height + 2 + 32 + 2 :][:height]
    assert 10 < height < 30 and sheet.shape[1] == 82
    for line in (first, second):
        assert line.min() < 100 and (line == 255).mean() > 0.5  # dark letters on white
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(sheet[-32:], grid([GREY, GREY], columns=2))


def test_a_long_text_is_cut_to_the_width() -> None:
    long, longer = (labelled([("a red wooden chair with arms" * k, [GREY])]) for k in (2, 3))
    assert long.shape[1] == 40
    np.testing.assert_array_equal(long, longer)
    assert (long[:10, -3:] == 255).all()


def test_rows_of_unlike_length_stand_on_white() -> None:
    sheet = labelled([("", [GREY, GREY]), ("", [GREY])])
    h, w = GREY.shape[:2]
    np.testing.assert_array_equal(sheet[h + 2 :, :w], GREY)
    assert (sheet[h + 2 :, w:] == 255).all() and sheet.shape[1] == 2 * w + 2
