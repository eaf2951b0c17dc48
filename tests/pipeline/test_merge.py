"""Two branches that both trained: docs/troubleshooting.md says how to merge them."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, Pipeline, change, clone, commit, repro, run

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

CONFLICT = """\
git checkout --ours dvc.lock metrics
dvc repro
python -m review card
git add --all
git commit --no-edit
"""


def test_a_conflict_in_the_lock_file_is_resolved_by_running_the_pipeline(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    pipeline = Pipeline(folder)
    settings = {"model": "dense", "optimizer": {"name": "adam"}, "selection": None, "epochs": 1}
    pipeline.params["train"] |= settings
    pipeline.set("train.augmentation", None)
    for name in ("user.name", "user.email"):
        run("git", "config", name, "test@example.org", cwd=folder)
    commit(folder, "small model")

    run("git", "switch", "--quiet", "--create", "theirs", cwd=folder)
    change(folder, "evaluate", bins=10)
    assert "evaluate" in repro(folder)
    commit(folder, "ten bins")
    run("git", "switch", "--quiet", "--create", "ours", "HEAD~1", cwd=folder)
    change(folder, "train", seed=28)
    assert "train" in repro(folder)
    commit(folder, "another seed")

    merged = subprocess.run(
        ["git", "merge", "theirs"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert "CONFLICT (content): Merge conflict in dvc.lock" in merged.stdout
    assert "params.yaml" not in merged.stdout.replace("Auto-merging params.yaml", "")
    assert CONFLICT in (ROOT / "docs/troubleshooting.md").read_text()
    run("bash", "-ec", CONFLICT, cwd=folder)
    assert run("git", "status", "--porcelain", cwd=folder) == ""
    assert run("python", "-m", "review", "verify", cwd=folder).endswith("verified\n")
