"""All stages share one command line: paths, parameters and errors in one line."""

from pathlib import Path

import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.params import Section
from fashion_mnist.stage import Stage


class Params(Section):
    size: int


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage[Params]:
    """A stage that reads a folder and writes a file, with parameters in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("cut: {size: 3}\nother: {size: 4}\n")
    stage = Stage("stages.cut", "Cuts images.", Params)
    stage.reads("--raw", "folder of images")
    stage.writes("--metrics", "JSON: sizes")
    return stage


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["cut", *words])


def test_paths_and_the_section_of_its_own_name(stage, monkeypatch) -> None:
    call(monkeypatch, "--raw", "data/raw", "--metrics", "metrics/cut.json")
    with stage.running() as (args, settings):
        assert (args.raw, args.metrics) == (Path("data/raw"), Path("metrics/cut.json"))
        assert settings.size == 3


def test_another_section(stage, monkeypatch) -> None:
    call(monkeypatch, "--raw", "a", "--metrics", "b", "--section", "other")
    with stage.running() as (_, settings):
        assert settings.size == 4


def test_bad_parameters_and_bad_input_end_in_one_line(stage, monkeypatch) -> None:
    call(monkeypatch, "--raw", "a", "--metrics", "b", "--section", "third")
    with pytest.raises(SystemExit) as ended, stage.running():
        pass
    assert ended.value.code == "cut: error: params.yaml: no section 'third'"
    call(monkeypatch, "--raw", "a", "--metrics", "b")
    with pytest.raises(SystemExit) as ended, stage.running():
        raise InputError("a: no images")
    assert ended.value.code == "cut: error: a: no images"


def test_a_path_that_is_not_given_is_named(stage, monkeypatch, capsys) -> None:
    call(monkeypatch, "--raw", "a")
    with pytest.raises(SystemExit) as ended, stage.running():
        pass
    assert ended.value.code == 2
    assert "the following arguments are required: --metrics" in capsys.readouterr().err


def test_help_says_what_is_read_and_written(stage, monkeypatch, capsys) -> None:
    call(monkeypatch, "--help")
    with pytest.raises(SystemExit), stage.running():
        pass
    shown = capsys.readouterr().out
    assert "usage: python -m stages.cut" in shown
    for text in ("Cuts images.", "reads folder of images", "writes JSON: sizes", "default: cut"):
        assert text in shown
