"""What was asked of each asset of a file, by its id: what sheets write over their rows."""

from collections.abc import Mapping
from typing import Any

from trellis_cli.stages.edit_ids import edits_of
from trellis_cli.stages.prompts import prompts_of


def captions(attributes: Mapping[str, Any]) -> dict[str, str]:
    """id -> prompt or edit of each asset that a file of these root attributes may hold; empty where there was none."""
    command = str(attributes.get("command", ""))
    if command.startswith("trellis sample "):
        return prompts_of(attributes)
    return edits_of(attributes) if command.startswith("trellis edit ") else {}
