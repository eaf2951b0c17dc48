"""Reads one section of a parameter file into the typed schema of the stage that asks for it."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML

from fashion_mnist.errors import InputError, reason

# Keys of earlier versions, which a user's own params.yaml may still have.
MOVED = {
    "download.batches": "download.deliveries",
    "split.batches": "split.deliveries",
    "review.inbox": "retraining.inbox",
    "review.agreement": "retraining.agreement",
}


class Section(BaseModel):
    """A section of params.yaml: unknown keys are rejected, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def read(path: Path, name: str, schema: type[S]) -> S:
    """Return a section of a YAML file as an instance of `schema`.

    The file is parsed as YAML 1.2, as DVC does, so that both see the same values (`1e-3` is a
    number in YAML 1.2 and a string in YAML 1.1).

    Args:
        path: The file.
        name: The section; a dot leads into a section, as in `systems.lenet.train`.
        schema: Its type.

    Raises:
        InputError: The file cannot be parsed, the section is missing, or a key in it is unknown,
            missing, of the wrong type or out of range; every such key is named.
    """
    section = parse(path.read_bytes(), str(path))
    for key in name.split("."):
        if not isinstance(section, dict) or key not in section:
            raise InputError(f"{path}: no section '{name}'")
        section = section[key]
    try:
        return schema.model_validate(section)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, name, section)}") from error


def parse(text: str | bytes, source: str, yaml: YAML | None = None) -> Any:
    """Return the content of a YAML 1.2 file.

    Args:
        text: The file's content.
        source: What errors call it.
        yaml: A parser to use instead of the safe one.

    Raises:
        InputError: The content is not valid YAML.
    """
    try:
        return (yaml or YAML(typ="safe")).load(text)
    # Besides its own errors, the parser lets Python's through: a bad date, a number that is too
    # long, brackets that are too deep.
    except Exception as error:
        raise InputError(f"{source}: not valid YAML: {reason(error)}") from error


def explain(error: ValidationError, prefix: str, value: object) -> str:
    """Return pydantic's complaints about `value`, as `prefix.key: got ..., expected ...; ...`."""
    complaints = []
    for item in error.errors(include_url=False):
        key = ".".join([prefix, *_path(item["loc"], value)])
        match item["type"]:
            case "extra_forbidden" | "unexpected_keyword_argument":
                fault = f"moved to {MOVED[key]}" if key in MOVED else "unknown key"
                complaints.append(f"{key}: {fault}")
            case "missing" | "missing_argument":
                complaints.append(f"{key}: missing")
            case "union_tag_not_found":
                complaints.append(f"{key}.name: missing")
            case "union_tag_invalid":
                name, known = item["input"]["name"], item["ctx"]["expected_tags"].replace("'", "")
                complaints.append(f"{key}.name: got {name!r}, expected one of {known}")
            case "dict_type" | "model_type" | "model_attributes_type":
                complaints.append(f"{key}: got {item['input']!r}, expected a section with keys")
            case _:
                complaints.append(f"{key}: {_fault(item)}")
    return "; ".join(complaints)


def _fault(item: ErrorDetails) -> str:
    message = item["msg"]
    for prefix in ("Input should be ", "Value error, "):
        if message.startswith(prefix):
            expected = f"expected {message.removeprefix(prefix)}"
            # A whole section would hide what is wrong with it.
            section = isinstance(item["input"], dict)
            return expected if section else f"got {item['input']!r}, {expected}"
    return f"got {item['input']!r}: {message}"


def _path(location: tuple[int | str, ...], value: Any) -> list[str]:
    """Return the keys that lead to a complaint.

    Where a schema is chosen by a tag, such as the name of the optimizer, pydantic lists the tag
    among the keys. It is no key of `value`, so it is dropped.
    """
    keys = []
    for part in location[:-1]:
        if isinstance(part, int) or (isinstance(value, dict) and part in value):
            value = value[part]
            keys.append(str(part))
    return [*keys, *map(str, location[-1:])]
