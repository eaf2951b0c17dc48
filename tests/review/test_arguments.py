"""Which revisions are compared."""

import argparse
from pathlib import Path

import pytest

from review.arguments import at_least
from tests.conftest import run
from tests.review.conftest import Branch


def test_on_main_the_previous_commit_is_the_base(branch: Branch) -> None:
    branch.fix(60)
    branch.git("switch", "--quiet", "main")
    branch.git("merge", "--quiet", "--ff-only", "change")
    assert branch.compare()["mcnemar"]["fixed"] == 60


def test_on_main_the_last_commit_is_the_base_of_the_working_tree(branch: Branch) -> None:
    branch.git("switch", "--quiet", "main")
    branch.fix(60)
    branch.set_rules(alpha=0.01)
    found = branch.compare()
    assert found["head"] == {"revision": "working tree", "commit": None}
    assert found["base"]["commit"] == branch.git("rev-parse", "HEAD")
    assert found["mcnemar"]["fixed"] == 0
    assert found["parameters"] == {"review.alpha": {"before": 0.05, "after": 0.01}}


def test_both_revisions_can_be_named(branch: Branch) -> None:
    branch.fix(60)
    branch.fix(50)
    assert branch.compare()["mcnemar"]["fixed"] == 110
    assert branch.compare("change~1")["mcnemar"]["fixed"] == 50
    found = branch.compare("change", "main")
    assert found["mcnemar"]["broken"] == 110
    assert found["verdict"] == "worse"
    for side, name in (("base", "change"), ("head", "main")):
        assert found[side] == {"revision": name, "commit": branch.git("rev-parse", name)}


def test_the_branch_main_of_the_remote_is_enough(branch: Branch, tmp_path: Path) -> None:
    branch.fix(60)
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", "--branch", "change", branch.folder, clone, cwd=tmp_path)
    assert Branch(clone).compare()["mcnemar"]["fixed"] == 60


def test_an_unknown_revision_is_named(branch: Branch) -> None:
    branch.cannot_compare("nonsense", words=("unknown revision 'nonsense'",))


def test_outside_a_repository(tmp_path: Path) -> None:
    Branch(tmp_path).cannot_compare(words=("not a git repository",))


@pytest.mark.parametrize("text", ["1", "-3", "two", "2.5", ""])
def test_a_number_below_the_least_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"^got {text}, expected 2 or more$"):
        at_least(2)(text)
    assert at_least(2)("2") == 2
