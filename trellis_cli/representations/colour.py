"""sRGB and linear light: the one home of the transfer curve (IEC 61966-2-1)."""

import numpy as np


def srgb_to_linear(encoded: np.ndarray) -> np.ndarray:
    """Encoded values in [0, 1] to linear light, float64, any shape; alpha is no colour and must not come here."""
    encoded = np.asarray(encoded, np.float64)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """The inverse of `srgb_to_linear`."""
    linear = np.asarray(linear, np.float64)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
