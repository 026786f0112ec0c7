# SPDX-License-Identifier: Apache-2.0
"""Figures against peers and baselines, printed as text and as JSON.

``python -m`` puts the working directory first on the path, and from the repository's root the
source folder ``meta_repo_ros`` would hide the installed package, which alone has the generated
messages. So the root leaves the path here.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry or '.').resolve() != _ROOT]
