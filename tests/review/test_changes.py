"""What differs between two parameter files and two lock files."""

from review import changes
from review.changes import ChangedParameter, ChangedStage


def test_parameters_that_only_one_side_has() -> None:
    found = changes.parameters({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}, "d": {}})
    assert found == {
        "a.b": ChangedParameter(before=1, after=None),
        "a.c": ChangedParameter(before=[1], after=[2]),
        "d": ChangedParameter(before=None, after={}),
    }


def test_dependencies_of_a_stage_by_kind() -> None:
    def stage(**hashes: str) -> dict[str, list[dict[str, str]]]:
        paths = {"code": "stages/a.py", "data": "data/a", "libraries": "requirements.lock"}
        return {"deps": [{"path": paths[kind], "md5": md5} for kind, md5 in hashes.items()]}

    before = {"same": stage(code="1"), "gone": stage(data="1"), "edited": stage(code="1", data="1")}
    after = {"edited": stage(code="2", libraries="1"), "same": stage(code="1")}
    found = changes.stages(before, after)
    assert list(found) == ["edited", "gone"]
    assert found["edited"] == ChangedStage(code=["stages/a.py"], data=["data/a"], libraries=True)
    assert found["gone"] == ChangedStage(code=[], data=["data/a"], libraries=False)
