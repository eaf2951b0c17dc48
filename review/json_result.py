"""What the JSON results of `python -m review` have in common."""

from pydantic import BaseModel, ConfigDict


class JsonResult(BaseModel):
    """A frozen result; its attributes' docstrings are descriptions in its JSON schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
