"""Encoders of prompts: this program's own, and those in transformers' form; which files they are, and their names.

Nothing here fetches anything.
"""

from pathlib import Path

from trellis_cli.io import hub

CLIP = "openai/clip-vit-large-patch14"
DINOV2 = "facebook/dinov2-with-registers-large"
HUB_IDS = {  # torch.hub's names, which the released pipelines use, and the same weights for transformers
    "dinov2_vits14_reg": "facebook/dinov2-with-registers-small",
    "dinov2_vitb14_reg": "facebook/dinov2-with-registers-base",
    "dinov2_vitl14_reg": DINOV2,
    "dinov2_vitg14_reg": "facebook/dinov2-with-registers-giant",
}
FETCHED = (
    "config.json", "model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors",
    "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
    "special_tokens_map.json",
)  # fmt: skip
"""What is fetched of a repository: no weights of other programs' forms."""

OWN = {  # this program's own, files in a folder of the model
    "text_cond_model": ("text_encoder.json", "text_encoder.safetensors", "tokenizer.json"),
    "image_cond_model": ("image_tokens.json", "image_encoder.json", "image_encoder.safetensors"),
}


def hub_id(source: str) -> str | None:
    """The id on the hub of an encoder as a pipeline.json names it; None for anything else, as a folder."""
    source = HUB_IDS.get(source, source)
    return source if hub.is_hub_id(source) else None


def remedy(source: Path | str) -> str:
    """What gets an encoder that is missing."""
    if Path(source).is_dir():
        return "fetch the folder anew"
    if repository := hub_id(str(source)):
        return f"trellis models fetch {repository}"
    return "give a folder in transformers' form, or an id on the hub (owner/name)"


def cached_files(repository: str) -> dict[str, Path]:
    """The files in the hub's cache that decide what an encoder gives, by name: its settings, weights and tokenizer.

    Not all that may lie there: the same weights for other programs change nothing.
    """
    weights = _first(repository, "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
    words = _first(repository, "tokenizer.json", "vocab.json")
    found = [hub.cached(repository, "config.json"), hub.cached(repository, "tokenizer_config.json"), weights, words]
    if weights and weights.name.endswith(".index.json"):
        found += sorted(weights.parent.glob("model-*-of-*.safetensors"))
    if words and words.name == "vocab.json":
        found.append(hub.cached(repository, "merges.txt"))
    return {path.name: path for path in found if path is not None}


def has_weights(repository: str) -> bool:
    """Whether the cache has the settings and weights of an encoder."""
    names = cached_files(repository).keys()
    return "config.json" in names and any(name.endswith((".safetensors", ".bin")) for name in names)


def _first(repository: str, *names: str) -> Path | None:
    return next((path for name in names if (path := hub.cached(repository, name))), None)
