"""The light that every mesh is seen in: its numbers, and nothing else, stand here and in every /views group.

A large soft key from above the front, a weaker fill from the other side, an ambient that goes from sky to ground.
All white, without shadows, fixed to the world (z up; an asset's front looks along -y, glTF's +z). A surface of albedo
a shows a times `irradiance(normal)`, in linear light, clipped at 1: close to its own colour where it faces the key, and
about half as bright, in linear light, on the far side.
"""

import json

import numpy as np

# Each light: direction towards it (not normalised), strength, and wrap: how far round the surface its light reaches,
# 0 for a point far away, 1 for a light as wide as half the sky.
KEY = {"towards": (-0.3, -0.8, 0.9), "strength": 0.66, "wrap": 0.25}
FILL = {"towards": (0.9, 0.45, 0.25), "strength": 0.24, "wrap": 0.25}
AMBIENT = {"sky": 0.40, "ground": 0.24}


def description() -> str:
    """All numbers as JSON, for the /views groups."""
    return json.dumps({"key": KEY, "fill": FILL, "ambient": AMBIENT}, sort_keys=True)


def as_array() -> np.ndarray:
    """The same numbers for kernels, float32 [12]: per light unit direction, strength, wrap; then sky and ground."""
    rows = []
    for light in (KEY, FILL):
        direction = np.array(light["towards"]) / np.linalg.norm(light["towards"])
        rows += [*direction, light["strength"], light["wrap"]]
    return np.array([*rows, AMBIENT["sky"], AMBIENT["ground"]], np.float32)


def irradiance(normals: np.ndarray) -> np.ndarray:
    """What a white surface with these unit normals [..., 3] sends back, linear; 1 is white. The kernels' definition."""
    light = as_array()
    height = (normals[..., 2] + 1) / 2
    out = light[11] + (light[10] - light[11]) * height
    for first in (0, 5):
        direction, strength, wrap = light[first : first + 3], light[first + 3], light[first + 4]
        out = out + strength * np.maximum((normals @ direction + wrap) / (1 + wrap), 0)
    return out
