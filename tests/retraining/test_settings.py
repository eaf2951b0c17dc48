"""Mistakes in section `retraining` end in one line that names the key."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from fashion_mnist.errors import InputError
from retraining import settings
from tests.conftest import ROOT


def test_the_committed_section_is_valid() -> None:
    found = settings.read(YAML(typ="safe").load(ROOT / "params.yaml"), "main")
    assert found.inbox == "data/inbox"
    assert 0 < found.agreement < 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "main: params.yaml: no section 'retraining'"),
        (
            {"retraining": {"inbox": "data/inbox"}},
            "main: params.yaml: retraining.agreement: missing",
        ),
        (
            {"retraining": {"inbox": "data/inbox", "agreement": 2.0, "agrement": 0.5}},
            "main: params.yaml: retraining.agreement: got 2.0, expected less than or equal to 1; "
            "retraining.agrement: unknown key",
        ),
        (
            {"retraining": ["data/inbox"]},
            "main: params.yaml: retraining: got ['data/inbox'], expected ",
        ),
    ],
)
def test_a_mistake_is_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        settings.read(parameters, "main")
    assert str(caught.value).startswith(message)
