"""Image tokens of the shipped encoder."""

import json

import pytest
import torch

from trellis_cli.errors import FileError, TrellisError
from trellis_cli.io.model_folders import SHIPPED
from trellis_cli.networks.image_tokens import FILE, load_image_tokens

MINI = SHIPPED / "mini" / "ckpts"


@pytest.fixture(scope="module")
def tokens():
    return load_image_tokens(MINI)


def picture(tokens, row: int, column: int) -> torch.Tensor:
    """A green cell-sized square in one cell of the grid."""
    cell = tokens.image_size // tokens.grid
    rgba = torch.zeros(1, 4, tokens.image_size, tokens.image_size)
    rgba[:, [1, 3], row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = 1
    return rgba


def test_a_token_a_cell_and_their_mean(tokens):
    condition = tokens(picture(tokens, 2, 5).repeat(3, 1, 1, 1))
    assert condition.tokens.shape == (3 * 64, tokens.channels) and condition.offsets.tolist() == [0, 64, 128, 192]
    torch.testing.assert_close(condition.pooled[1], condition.tokens[64:128].mean(0))


def test_outline_and_colour_are_those_of_the_cell(tokens):
    condition = tokens(picture(tokens, 2, 5)).tokens.view(8, 8, -1)
    alpha, green = condition[..., :16], condition[..., 16 + 4 : 16 + 8]  # two by two parts, channel by channel
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2, 5] = True
    assert (alpha[inside] == 1).all() and (alpha[~inside] == -1).all()
    assert (green[inside] > 2).all() and (green[~inside] < -2).all()


def test_places_tell_all_cells_apart(tokens):
    places = tokens(torch.zeros(1, 4, 128, 128)).tokens[:, -16:]
    distances = torch.cdist(places, places) + 9 * torch.eye(64)
    assert distances.min() > 0.5


def test_a_picture_does_not_depend_on_its_neighbours(tokens):
    a, b = picture(tokens, 1, 1), picture(tokens, 6, 3)
    torch.testing.assert_close(tokens(torch.cat([a, b])).tokens[64:], tokens(b).tokens, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"name": "Other", "args": {}}', '{"name": "AlexNetTokens", "args": {"grid": 7}}']
)
def test_what_is_no_description_is_told(tmp_path, text):
    for path in MINI.glob("image_encoder.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / FILE).write_text(text)
    with pytest.raises(FileError, match="not image tokens"):
        load_image_tokens(tmp_path)


def test_without_the_encoder_it_is_missing(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"name": "AlexNetTokens", "args": {}}))
    with pytest.raises(TrellisError) as caught:
        load_image_tokens(tmp_path)
    assert caught.value.code == 4
