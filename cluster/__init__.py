"""Runs trainings on a cluster of machines with Ray, to the same bytes as on one machine.

Where it runs is chosen by the environment variable RAY_ADDRESS, never by params.yaml, since no
byte depends on it: docs/cluster.md.
"""

import os

ADDRESS = "RAY_ADDRESS"
LOCAL = "local"  # as address: a cluster of this machine alone
LOOPBACK = "127.0.0.1"
INSTALL = "make .venv/installed-cluster"

# What a cluster of this machine alone needs, to talk to nobody and to be as fast as without it.
ALONE = {
    # https://docs.ray.io/en/latest/cluster/usage-stats.html
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": f"http://{LOOPBACK}:9",  # the port of `discard`: closed
    # Otherwise Ray listens on all interfaces, and asks the metadata service of a cloud who it is.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray's workers would give way to every other process of this machine.
    "RAY_worker_niceness": "0",
}


def wanted() -> bool:
    """Return whether RAY_ADDRESS names a cluster, or is `local`, for one on this machine."""
    return bool(os.environ.get(ADDRESS))


# Ray reads these when it is imported, and only this package imports it.
if os.environ.get(ADDRESS) == LOCAL:
    os.environ |= ALONE
# Otherwise Ray leaves out lines that workers print alike, such as those of epochs.
os.environ["RAY_DEDUP_LOGS"] = "0"
