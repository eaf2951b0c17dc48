"""The project may be a folder of a larger repository."""

import json
from pathlib import Path

import pytest

from review import card, spread
from tests.review.conftest import Branch


@pytest.fixture
def project(branch: Branch) -> Path:
    """The project in `team/ml`, on a branch whose main has it there too."""
    project = branch.folder / "team/ml"
    project.mkdir(parents=True)
    branch.git("mv", "metrics", "params.yaml", "dvc.lock", "team/ml")
    (branch.folder / "params.yaml.txt").write_text("of another team")
    branch.commit()
    branch.leave_main()
    return project


def test_every_verb_without_dvc_works_there(branch: Branch, project: Path) -> None:
    other = Branch(project)
    other.fix(60)
    other.set_rules(margin=0.1)
    # Changes of others do not count.
    (branch.folder / "params.yaml.txt").write_text("changed")
    found = other.compare()
    assert found["mcnemar"]["fixed"] == 60
    assert found["parameters"].keys() == {"review.margin"}
    assert found["head"]["commit"] is None
    done = other.review("report")
    assert done.returncode == 0, done.stderr
    assert (project / "report.html").exists()
    (project / card.CARD).unlink()
    assert other.review("card").returncode == 0
    assert (project / card.CARD).exists()
    assert other.review("result").stdout.endswith(
        "; differs: metrics/model_card.md; next: make compare\n"
    )
    assert not list(branch.folder.glob("metrics"))


def test_the_spread_of_a_project_there_is_found(project: Path) -> None:
    other = Branch(project)
    other.record_spread(0.94, 0.95)
    other.git("branch", "--force", "main", "HEAD")
    other.record_spread(0.95, 0.96)
    assert other.compare()["recipes"]["before"] == pytest.approx(0.945)
    stated = json.loads((project / "metrics/spread.json").read_text())
    assert spread.Spread.model_validate(stated).accuracy.mean == pytest.approx(0.955)


def test_above_the_project_the_file_that_is_missing_is_named(branch: Branch, project: Path) -> None:
    branch.cannot_compare(words=("HEAD has no params.yaml",))
