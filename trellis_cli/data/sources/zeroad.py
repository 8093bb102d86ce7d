"""0 A.D.'s buildings, plants, animals and units, named by the game's templates.

Of the Debian package `0ad-data` (CC-BY-SA 3.0); `recipes/mini/fetch_data.sh` gets it. A template names its actor and
itself, or leaves that to its parent. Many units are one soldier with another shield, so those are rationed.
"""

import hashlib
import re
from functools import lru_cache, partial
from pathlib import Path
from xml.etree.ElementTree import Element

from trellis_cli.data.sources import SourceObject, plain_words
from trellis_cli.data.sources.zeroad_actors import PLAYER_COLOURS, Actors
from trellis_cli.errors import FileError

MAX_UNITS = 150
TEMPLATES = "simulation/templates/"
PEOPLES = {
    "athen": "athenian", "brit": "celtic", "cart": "carthaginian", "gaul": "gallic", "han": "chinese",
    "iber": "iberian", "kush": "kushite", "mace": "macedonian", "maur": "indian", "pers": "persian",
    "ptol": "egyptian", "rome": "roman", "sele": "seleucid", "spart": "spartan",
}  # fmt: skip
RENAMED = {
    "civic center": "town hall", "practice range": "archery range", "sentry tower": "watchtower",
    "corral": "animal pen",
    "defense tower": "stone tower", "plot": "field", "bolt tower": "stone tower", "wall turret": "wall tower",
    "dromedary": "camel", "cattle": "cow", "metal": "metal ore rock", "stone": "rock", "rotary mill": "mill",
    "merchantman": "merchant ship", "penteconter": "galley ship", "bireme": "galley ship", "trireme": "galley ship",
    "rectangle table": "wooden table",
    "war barge": "ship", "medium warship": "warship", "outpost": "lookout tower", "forge": "blacksmith's forge",
    "bolt shooter": "ballista", "thomson's gazelle": "gazelle",
}  # fmt: skip
SYNONYMS = {
    "galley": ("ship",), "trireme": ("ship",), "warship": ("ship",), "quinquereme": ("ship",), "merchant": ("ship",),
    "watchtower": ("tower",), "lookout": ("tower",), "fortress": ("castle",), "temple": ("temple",),
    "farmstead": ("farmhouse",), "storehouse": ("warehouse",), "palisade": ("wooden wall",), "longship": ("ship",),
}  # fmt: skip
# Whole families, by how their templates' names begin: game terms ("stone quarry", "food treasure") are no captions.
BY_KEY = {
    "gaia/rock/": "rock", "gaia/ore/": "ore rock", "gaia/fruit/berry": "berry bush", "gaia/fruit/apple": "apple tree",
    "gaia/fruit/banana": "banana plant", "gaia/fruit/fig": "fig tree", "gaia/fruit/grapes": "grape vine",
    "gaia/ruins/stone_statues": "stone statue", "gaia/ruins/pyramid": "pyramid", "gaia/ruins/metal_statue": "statue",
    "gaia/ruins/standing_stone": "standing stone", "gaia/treasure/food_barrel": "barrel",
    "gaia/treasure/food_bin": "food bin", "gaia/treasure/food_crate": "wooden crate", "gaia/treasure/food_jars": "jars",
    "gaia/treasure/food_persian": "sacks and jars", "gaia/treasure/metal_persian_big": "market goods",
    "gaia/treasure/stone": "stone pile", "gaia/treasure/wood": "wood pile", "gaia/treasure/golden_fleece": "golden ram",
    "structures/celt_longhouse": "longhouse", "structures/pers/warehouse": "warehouse", "units/plane": "plane",
    "units/viking_longship": "viking longship", "structures/stall": "market stall",
    "structures/table_r": "wooden table",
    "structures/uffington": "white horse carving",
}  # fmt: skip
WONDER = "great temple"
VAGUE = ("tree", "wonder", "treasure", "house", "fruit", "ruins", "statue", "mine", "bench", "table", "column", "rock")


class Templates:
    """The game's templates, each with its chain of parents."""

    def __init__(self, actors: Actors) -> None:
        self._actors = actors
        self._chain = lru_cache(maxsize=None)(self._read_chain)

    def names(self) -> list[str]:
        pattern = re.compile(re.escape(TEMPLATES) + r"((?:structures|gaia|units)/.*)\.xml")
        return sorted(m[1] for name in self._actors.names if (m := pattern.fullmatch(name)))

    def _read_chain(self, name: str) -> tuple[Element, ...]:
        path = f"{TEMPLATES}{name}.xml"
        if path not in self._actors.names:
            return ()
        root = self._actors.xml(path)
        parent = (root.get("parent") or "").split("|")[-1]
        return (root, *(self._chain(parent) if parent and parent != name else ()))

    def field(self, name: str, path: str) -> str:
        """The nearest ancestor's text at `path`, or ""."""
        texts = (element.findtext(path, "").strip() for element in self._chain(name))
        return next((text for text in texts if text), "")


def list_objects(root: Path, *, max_units: int = MAX_UNITS) -> list[SourceObject]:
    """Buildings, nature and at most `max_units` units: one object an actor, named by its first template.

    Raises FileError where `root` holds no `public.zip`, or that is not the game's.
    """
    archives = [root] if root.is_file() else sorted(root.rglob("public.zip")) if root.is_dir() else []
    if not archives:
        raise FileError(f"{root} holds no public.zip", hint="get it with recipes/mini/fetch_data.sh")
    actors = Actors(archives[0])
    templates = Templates(actors)
    first: dict[str, str] = {}
    for name in templates.names():
        actor = templates.field(name, "VisualActor/Actor")
        if f"art/actors/{actor}" in actors.names:
            first.setdefault(actor, name)
    objects = [_object(actors, templates, actor, name) for actor, name in first.items()]
    units = _rationed([o for o in objects if o.key.startswith("units/")], max_units)
    return sorted([o for o in objects if not o.key.startswith("units/")] + units, key=lambda o: o.key)


def _object(actors: Actors, templates: Templates, actor: str, template: str) -> SourceObject:
    name, category = english_name(templates, template)
    people = PEOPLES.get(templates.field(template, "Identity/Civ") or "", "")
    people = people if template.split("/")[1] in PEOPLES else ""
    full = f"{people} {name}" if people and people not in name else name
    words = name.split()
    synonyms = [full, *(s for word in words for s in SYNONYMS.get(word, ()))]
    if category == "tree" and "tree" in words:
        synonyms.append("tree")
    afloat = category in ("ship", "animal") or "dock" in template or template.startswith("units/")
    colour = int(hashlib.sha256(template.split("/")[1].encode()).hexdigest(), 16) % len(PLAYER_COLOURS)
    return SourceObject(
        source="0ad", key=template, name=name, category=category, group=full, licence="CC-BY-SA-3.0",
        credit="Wildfire Games (0 A.D.)", synonyms=tuple(dict.fromkeys(s for s in synonyms if s != name)),
        load=partial(actors.mesh, actor, cut_below_ground=not afloat, player=colour),
    )  # fmt: skip


def english_name(templates: Templates, template: str) -> tuple[str, str]:
    """(name, category) of a template: its GenericName, or where that is vague, the SpecificName or the file's name."""
    generic = templates.field(template, "Identity/GenericName")
    specific = templates.field(template, "Identity/SpecificName")
    parts = template.split("/")
    known = next((name for start, name in BY_KEY.items() if template.startswith(start)), "")
    if known:
        return known, "tree" if known.endswith(("tree", "bush")) else "building" if parts[
            0
        ] == "structures" else "nature"
    name = plain_words(generic)
    if (
        name in VAGUE
        and specific.isascii()
        and specific
        and (parts[0] == "gaia" or name != "house" or "house" not in template)
    ):
        name = plain_words(specific)
    if name in ("", "tree", "treasure", "ruins"):
        name = re.sub(r"^(fauna|tree|bush) ", r"\1 ", plain_words(parts[-1]))
    if "gaia/tree/" in template:
        return _tree_name(name, parts[-1]), "tree"
    if parts[-1] == "wonder" and (name == "wonder" or not specific.isascii() or parts[1] == "kush"):
        name = WONDER
    name = RENAMED.get(name, name)
    if parts[0] == "structures":
        return name, "building"
    if "ship" in template or "boat" in name:
        return name if re.search(r"ship|boat|galley|reme", name) else f"{name} ship", "ship"
    if "fauna" in parts[-1] or parts[1] == "fish":
        return name, "animal"
    return name, "unit" if parts[0] == "units" else "nature"


def _tree_name(name: str, key: str) -> str:
    """ "pine" is a "pine tree"; the season or state that the file's name tells comes first."""
    if "bush" in key.split("_"):
        name = "bush"
    if not re.search(r"\b(tree|bush|bamboo|palm|scrub|sapling|shrub)$", name):
        name += " tree"
    states = {"dead": "dead", "aut": "autumn", "autumn": "autumn", "winter": "snowy", "w": "snowy"}
    for part in key.split("_"):
        if part in states and states[part] not in name:
            name = f"{states[part]} {name}"
    return name


def _rationed(units: list[SourceObject], limit: int) -> list[SourceObject]:
    """Of the ranks of one unit only the basic, one unit a name; things that are not men on foot go first.

    Riders are left out: in the rest pose, the only one there is without animation, they stand on their horses.
    """
    ranked = [u for u in units if not re.search(r"_[ae]$|cavalry", u.key)]
    by_name: dict[str, SourceObject] = {}
    for unit in sorted(ranked, key=lambda u: (_is_foot_soldier(u), hashlib.sha256(u.key.encode()).hexdigest())):
        by_name.setdefault(unit.group, unit)
    return list(by_name.values())[:limit]


def _is_foot_soldier(unit: SourceObject) -> bool:
    return not re.search(r"ship|siege|chariot|elephant|dog|catafalque|trader|plane|longship", unit.key)
