"""Does what `dvc repro` does, with the commands of the stages run on a cluster."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import stage_job
from cluster.session import Cluster
from cluster.stage_job import Job
from repository import dvc_lock, revisions
from repository.commands import dvc

# DVC loads slowly.
if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

# Option of a stage's command that names the file from which it resumes.
CHECKPOINT = "--checkpoint"


class Project:
    """A DVC project whose changed stages run on a cluster.

    Args:
        folder: Folder with its dvc.yaml.
        machines: The cluster.
        cores: Number of cores for each stage.
    """

    def __init__(self, folder: Path, machines: Cluster, cores: int) -> None:
        self.folder = folder
        self.root = revisions.root(folder)
        self.machines = machines
        self.cores = cores
        # DVC's own locks are for processes, not for threads.
        self.dvc = threading.Lock()

    def repro(self, names: Sequence[str] = ()) -> list[str]:
        """Run the changed stages, as many at a time as the cluster has cores for.

        Args:
            names: Stages to run, after those that they depend on; by default all.

        Returns:
            The stages that ran.

        Raises:
            InputError: There is no such stage, or one failed; those that depend on it did not run.
        """
        from dvc.repo import Repo

        with Repo(str(self.folder)) as repo:
            graph = repo.index.graph
            wanted = _wanted(repo, names)
            ran: dict[Any, Future[bool]] = {}
            with self.machines.threads(len(wanted)) as pool:
                for stage in wanted:
                    upstream = [ran[other] for other in graph.successors(stage) if other in ran]
                    ran[stage] = pool.submit(self._run, repo, stage, upstream)
            return [stage.name for stage, found in ran.items() if found.result()]

    def _run(self, repo: "Repo", stage: "Stage", upstream: list[Future[bool]]) -> bool:
        """Run a stage if it has changed, once those before it have run; return whether it ran."""
        for before in upstream:
            before.result()
        with self.dvc:
            with repo.lock:
                if not stage.changed():
                    return False
            if any(out.persist for out in stage.outs):
                # It completes what an earlier run left here.
                dvc("repro", "--single-item", _address(stage), cwd=self.folder)
                return True
            job = self._job(stage)
        stage_job.write(self.root, self.machines.run(job, self.cores), job.outputs)
        with self.dvc:
            # What `dvc repro` does after a command: hashes, dvc.lock, cache.
            dvc("commit", "--force", "--quiet", _address(stage), cwd=self.folder)
        return True

    def named(self, name: str) -> Job:
        """Return the job of a stage of this project.

        Raises:
            InputError: There is no such stage.
        """
        from dvc.repo import Repo

        with Repo(str(self.folder)) as repo:
            (stage,) = (stage for stage in _wanted(repo, [name]) if stage.name == name)
            return self._job(stage)

    def _job(self, stage: "Stage") -> Job:
        """Return what the command of a stage needs and makes; the content of its files is sent."""
        files = [file for dependency in stage.deps for file in _files(Path(dependency.fs_path))]
        command = stage.cmd if isinstance(stage.cmd, str) else " && ".join(stage.cmd)
        _, _, after = command.partition(f"{CHECKPOINT} ")
        return Job(
            name=stage.name,
            command=command,
            folder=self._relative(Path(stage.wdir)),
            hashes={self._relative(file): self.machines.send(file.read_bytes()) for file in files},
            outputs=tuple(self._relative(Path(out.fs_path)) for out in stage.outs),
            checkpoint=after.split()[0] if after else "",
        )

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _wanted(repo: "Repo", names: Sequence[str]) -> "list[Stage]":
    """Return stages and all that they depend on, each after those that it depends on.

    Raises:
        InputError: There is no such stage.
    """
    graph = repo.index.graph
    stages = {stage.name: stage for stage in graph}
    dvc_lock.check_names(names, stages)
    needed: dict[Stage, list[Stage]] = {}
    waiting = [stages[name] for name in names or stages]
    while waiting:
        stage = waiting.pop()
        needed[stage] = list(graph.successors(stage))
        waiting += [other for other in needed[stage] if other not in needed]
    return list(TopologicalSorter(needed).static_order())


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _address(stage: "Stage") -> str:
    """Return what DVC calls a stage in the top folder of the project."""
    return f"{stage.path_in_repo}:{stage.name}"
