# SPDX-License-Identifier: Apache-2.0
"""Mean inflow through the disk, for the signals of the sensors.

In vertical descent it follows wind tunnel measurements, the binned means of Castles and Gray,
NACA TN 2474, Table I (6 ft untwisted rotor); elsewhere momentum theory.
"""

from __future__ import annotations

import numpy as np

from meta_repo_ros.core.samples import Array

_DESCENT = np.arange(0.0, 2.3, 0.2)
_INFLOW = np.array((1.06, 1.19, 1.46, 1.64, 1.83, 1.98, 2.23, 2.43, 2.16, 1.65, 1.46, 1.28))
_FORWARD = 0.4  # airspeed over v_h from which on the wake is skewed away


def mean_inflow(descent: Array, airspeed: Array) -> Array:
    """Mean induced velocity over v_h.

    Args:
        descent: along the shaft over v_h, positive down.
        airspeed: in the plane of the disk over v_h.
    """
    climb = 0.5 * np.minimum(descent, 0.0)
    axial: Array = np.interp(descent, _DESCENT, _INFLOW) * np.exp(-np.maximum(descent - 2.2, 0.0))
    axial *= climb + np.sqrt(climb * climb + 1.0)
    if airspeed.max(initial=0.0) <= _FORWARD:
        return axial
    forward = 1.0 / np.maximum(airspeed, 0.6)
    across = np.maximum(airspeed, _FORWARD)
    for _ in range(3):
        forward = 0.5 * (forward + 1.06 / np.hypot(across, forward - descent))
    share = np.clip((airspeed - _FORWARD) / 0.8, 0.0, 1.0)
    share = share * share * (3.0 - 2.0 * share)
    result: Array = axial + share * (forward - axial)
    return result
