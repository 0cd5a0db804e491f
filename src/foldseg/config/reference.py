"""Every setting, looked up from the settings classes themselves: for a terminal, a page and editors."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from foldseg.config.schema import Ensemble, Experiment, Settings
from foldseg.errors import FoldsegError

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class SettingDoc:
    """One setting. `values`: its type, range or choices; `default`: as YAML; `meaning`: a sentence or two."""

    name: str
    values: str
    default: str
    meaning: str


@dataclass(frozen=True)
class BlockDoc:
    """One block of settings. `name`: as a command takes it; `used_in`: keys that hold such a block."""

    name: str
    meaning: str
    settings: tuple[SettingDoc, ...]
    used_in: tuple[str, ...]


@cache
def blocks() -> dict[str, BlockDoc]:
    """Return all blocks by name, in the order in which an experiment and an ensemble mention them."""
    definitions = _definitions()
    order = list(dict.fromkeys([*_reachable("Experiment", definitions), *_reachable("Ensemble", definitions)]))
    return {block_name(title): _block(title, definitions) for title in order}


def block(name: str) -> BlockDoc:
    """Return one block. FoldsegError lists the names when there is none of that name."""
    found = blocks().get(name.lower().replace("-", "_"))
    if found is None:
        raise FoldsegError(f"{name}: no such block of settings; there are {', '.join(blocks())}")
    return found


def block_name(title: str) -> str:
    """`EarlyStopping` -> `early_stopping`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", title).lower()


def yaml_schema() -> dict[str, Any]:
    """Return a JSON schema of experiments, ensembles and data files, with which an editor completes and checks them.

    A file says only what differs from its base, so nothing is required.
    """
    definitions = {title: _without_required(content) for title, content in _definitions().items()}
    data_file = {"type": "object", "properties": {"data": {"$ref": "#/$defs/Data"}}}
    base = {"base": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}}
    whole = [definitions["Experiment"], definitions["Ensemble"], data_file]
    for content in whole:
        content["properties"] = base | dict(content["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "foldseg: an experiment, an ensemble or a data set",
        "anyOf": [{"$ref": "#/$defs/Experiment"}, {"$ref": "#/$defs/Ensemble"}, data_file],
        "$defs": definitions,
    }


def _definitions() -> dict[str, Any]:
    models: list[tuple[type[Settings], Any]] = [(Experiment, "validation"), (Ensemble, "validation")]
    return dict(models_json_schema(models)[1]["$defs"])


def _without_required(content: Schema) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != "required"}


def _reachable(title: str, definitions: Schema) -> Iterator[str]:
    """Yield a block, then those that it holds, depth first."""
    yield title
    for inner in _references(definitions[title]):
        yield from _reachable(inner, definitions)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield str(schema["$ref"]).rsplit("/", 1)[-1]
        for key, value in schema.items():
            if key != "discriminator":
                yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _block(title: str, definitions: Schema) -> BlockDoc:
    content = definitions[title]
    needed = content.get("required", ())
    settings = tuple(
        SettingDoc(name, _values(schema), _default(schema, name in needed), _one_line(_meaning(schema, definitions)))
        for name, schema in content["properties"].items()
    )
    used_in = tuple(
        f"{block_name(other)}.{name}"
        for other, outer in definitions.items()
        for name, schema in outer.get("properties", {}).items()
        if title in _references(schema)
    )
    return BlockDoc(block_name(title), content.get("description", "").strip(), settings, used_in)


def _meaning(schema: Schema, definitions: Schema) -> str:
    """Return a setting's description; pydantic leaves one out that is the same as that of the block it holds."""
    if "description" not in schema and "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rsplit("/", 1)[-1]]
    return str(schema.get("description", ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _default(schema: Schema, needed: bool) -> str:
    if needed or "default" not in schema:
        return "must be given" if needed else ""
    value = schema["default"]
    return "its defaults" if isinstance(value, Mapping) else json.dumps(value).strip('"')


def _values(schema: Schema) -> str:
    """Describe the values that a setting may have, in words."""
    if "$ref" in schema:
        return f"block {block_name(str(schema['$ref']).rsplit('/', 1)[-1])}"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return ", or ".join(dict.fromkeys(_values(choice) for choice in schema[key]))
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return _TYPES.get(schema.get("type", ""), lambda schema: "anything")(schema)


def _number(word: str, schema: Schema) -> str:
    bounds = {
        "minimum": "from {:g}",
        "exclusiveMinimum": "above {:g}",
        "maximum": "to {:g}",
        "exclusiveMaximum": "below {:g}",
    }
    limits = [text.format(schema[key]) for key, text in bounds.items() if key in schema]
    return " ".join([word, *limits])


def _list(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(_values(item) for item in schema['prefixItems'])}]"
    return f"list of: {_values(schema.get('items', {}))}"


def _mapping(schema: Schema) -> str:
    inner = schema.get("additionalProperties")
    return f"mapping of names to: {_values(inner)}" if isinstance(inner, Mapping) else "mapping"


_TYPES = {
    "number": lambda schema: _number("number", schema),
    "integer": lambda schema: _number("whole number", schema),
    "string": lambda schema: "path" if schema.get("format") == "path" else "text",
    "boolean": lambda schema: "true | false",
    "null": lambda schema: "null",
    "array": _list,
    "object": _mapping,
}
