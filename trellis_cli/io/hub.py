"""Models of the Hugging Face hub: found in its cache on this disk; nothing here asks the network but `download`.

The cache is huggingface_hub's own, shared with every other program: `HF_HUB_CACHE`, else `hub` within `HF_HOME`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from trellis_cli.errors import MissingError, first_line

RENAMED_OWNERS = {"JeffreyXiang": "microsoft"}  # published pipelines still name the models by their first owner
_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/name."""
    return _ID.fullmatch(name) is not None and not name.startswith(".")


def cache_folder() -> Path:
    """Where huggingface_hub keeps what it fetched, by the environment as it is now."""
    env = os.environ
    if given := env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE"):
        return Path(given).expanduser()
    home = env.get("HF_HOME") or str(Path(env.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(home).expanduser() / "hub"


def is_offline() -> bool:
    """Whether the user forbids the network (`HF_HUB_OFFLINE`)."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "ON", "YES", "TRUE")


def cached(repo: str, file: str) -> Path | None:
    """A repository's file in the cache (of the newest revision fetched), or None; also by the repository's new name."""
    from huggingface_hub import try_to_load_from_cache

    for name in dict.fromkeys((repo, current_name(repo))):
        found = try_to_load_from_cache(name, file, cache_dir=cache_folder())
        if isinstance(found, str) and Path(found).is_file():
            return Path(found)
    return None


def cached_repositories() -> list[str]:
    """The ids of the repositories in the cache that hold a pipeline.json."""
    folders = sorted(cache_folder().glob("models--*--*"))
    names = ("/".join(folder.name.split("--", 2)[1:]) for folder in folders)
    return [name for name in names if is_hub_id(name) and cached(name, "pipeline.json")]


def split_path(value: str) -> tuple[str, str] | None:
    """owner/repository and the path within it, of a checkpoint named in another repository; None for a plain path."""
    parts = value.split("/")
    if len(parts) < 3 or not is_hub_id("/".join(parts[:2])) or ".." in parts or "" in parts:
        return None
    return "/".join(parts[:2]), "/".join(parts[2:])


def known_digest(path: Path) -> str | None:
    """The sha256 that the cache names a large file by, without reading it; None for any other file."""
    name = path.resolve().name
    return name if path.is_symlink() and _SHA256.fullmatch(name) else None


def current_name(repo: str) -> str:
    """A repository's id under its present owner."""
    owner, _, name = repo.partition("/")
    return f"{RENAMED_OWNERS.get(owner, owner)}/{name}"


def download(repo: str, patterns: Sequence[str]) -> Path:
    """Fetch a repository's files that match `patterns` into the cache; what is there already is not fetched again.

    A broken download goes on where it stopped.

    Raises:
        MissingError: the hub cannot be reached, is forbidden (`HF_HUB_OFFLINE`), or has no such repository.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    offline = is_offline()
    try:
        folder = snapshot_download(
            repo, allow_patterns=list(patterns), cache_dir=cache_folder(), local_files_only=offline
        )
    except RepositoryNotFoundError as error:
        raise MissingError(
            f"the hub has no public model {repo!r}", hint="see `trellis models list`; a gated one wants `hf auth login`"
        ) from error
    except Exception as error:  # huggingface_hub and the library it speaks HTTP with each raise their own
        if offline:
            raise forbidden(repo, repo) from error
        raise MissingError(
            f"{repo} cannot be fetched: {first_line(error)}",
            hint=f"with a network, `trellis models fetch {repo}` goes on; or copy {cache_folder()} from where it is",
        ) from error
    return Path(folder)


def forbidden(what: str, repo: str) -> MissingError:
    """What to raise for a repository, or a file of it, that is missing while the network is forbidden."""
    return MissingError(
        f"{what} is not in the cache {cache_folder()}, and HF_HUB_OFFLINE forbids fetching it",
        hint=f"HF_HUB_OFFLINE=0 trellis models fetch {repo}",
    )
