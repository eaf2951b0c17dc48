"""Runs a cluster of one-core machines, each a group of processes here, until its input ends.

Prints the address. Each line of input, `add` or `remove`, is answered by a line.
"""

import os
import sys
from pathlib import Path

from ray.cluster_utils import Cluster

from cluster import LOOPBACK


def main() -> None:
    folder = Path(sys.argv[1])
    # `Cluster` writes its address to a folder that only `ray start` makes.
    os.environ["RAY_TMPDIR"] = str(folder)
    (folder / "ray").mkdir()
    head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": str(folder)}
    cluster = Cluster(initialize_head=True, head_node_args=head | {"node_ip_address": LOOPBACK})
    machines = [cluster.add_node(num_cpus=1, node_ip_address=LOOPBACK) for _ in range(2)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line == "add\n":
            machines.append(cluster.add_node(num_cpus=1, node_ip_address=LOOPBACK))
        else:
            cluster.remove_node(machines.pop(), allow_graceful=False)
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
