"""Runs trainings on a cluster of machines with Ray, to the same bytes as on one machine.

Where it runs is chosen by the environment variable RAY_ADDRESS, never by params.yaml, since no
byte depends on it: docs/cluster.md.
"""

import os

ADDRESS = "RAY_ADDRESS"
INSTALL = "make .venv/installed-cluster"


def wanted() -> bool:
    """Return whether RAY_ADDRESS names a cluster, or is `local`, for one on this machine."""
    return bool(os.environ.get(ADDRESS))
