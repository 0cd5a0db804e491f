"""Every setting, as the settings classes describe it: for `foldseg settings` and its page."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from foldseg.config.json_schema import Schema, choices, definitions, references
from foldseg.config.schema.choice import Choice
from foldseg.errors import FoldsegError


@dataclass(frozen=True)
class SettingDoc:
    """The description of a setting."""

    name: str
    values: str
    """Its type, range or choices."""
    default: str
    """Its default, as YAML."""
    meaning: str
    """What it does, in a sentence or two."""


@dataclass(frozen=True)
class BlockDoc:
    """The description of a block of settings, or of a choice or a kind."""

    name: str
    """Its name for `foldseg settings NAME`."""
    meaning: str
    """What it is."""
    settings: tuple[SettingDoc, ...]
    """Its settings: of a choice those that all kinds have, of a kind those that it has alone."""
    used_in: tuple[str, ...] = ()
    """The keys that hold such a block, e.g. `experiment.schedule`."""
    kinds: tuple["BlockDoc", ...] = ()
    """The kinds of a choice."""


@cache
def blocks() -> dict[str, BlockDoc]:
    """Return all blocks by name, in the order in which an experiment and an ensemble mention them."""
    schemas, kinds = definitions(), {kind.__name__ for choice in choices() for kind in choice.kinds().values()}
    order = dict.fromkeys([*_reachable("Experiment", schemas), *_reachable("Ensemble", schemas)])
    choice_of = {choice.__name__: choice for choice in choices()}
    return {
        block_name(title): _choice(choice_of[title], schemas) if title in choice_of else _block(title, schemas)
        for title in order
        if title not in kinds
    }


def block(name: str) -> BlockDoc:
    """Return the block, or the kind of a choice, of a name. FoldsegError lists the blocks if there is none."""
    key = name.lower().replace("-", "_")
    kinds = {kind.name: kind for block in blocks().values() for kind in block.kinds}
    match = (kinds | blocks()).get(key)
    if match is None:
        raise FoldsegError(f"{name}: no such block of settings; there are {', '.join(blocks())}")
    return match


def block_name(title: str) -> str:
    """Return the name of a block from that of its class: `EarlyStopping` -> `early_stopping`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", title).lower()


def _reachable(title: str, schemas: Schema) -> Iterator[str]:
    """Yield the name of a block, then those of the blocks in it, depth first."""
    yield title
    for inner in references(schemas[title]):
        yield from _reachable(inner, schemas)


def _block(title: str, schemas: Schema) -> BlockDoc:
    settings = tuple(_settings(title, schemas).values())
    return BlockDoc(
        block_name(title), schemas[title].get("description", "").strip(), settings, _used_in(title, schemas)
    )


def _choice(choice: type[Choice], schemas: Schema) -> BlockDoc:
    names = choice.kinds()
    kind = choice.model_fields["kind"].description or ""
    first = SettingDoc("kind", " | ".join(names), choice.default_kind() or "must be given", _one_line(kind))
    any_kind = _settings(next(iter(names.values())).__name__, schemas)
    shared = [setting for name, setting in any_kind.items() if name in choice.model_fields and name != "kind"]
    kinds = tuple(_kind(choice, kind, schemas) for kind in names.values())
    title, meaning = choice.__name__, (choice.__doc__ or "").strip()
    return BlockDoc(block_name(title), meaning, (first, *shared), _used_in(title, schemas), kinds)


def _kind(choice: type[Choice], kind: type[Choice], schemas: Schema) -> BlockDoc:
    """Describe a kind, with the settings that it has alone."""
    settings = _settings(kind.__name__, schemas)
    own_settings = tuple(setting for name, setting in settings.items() if name not in choice.model_fields)
    return BlockDoc(kind.kind_name(), schemas[kind.__name__].get("description", "").strip(), own_settings)


def _settings(title: str, schemas: Schema) -> dict[str, SettingDoc]:
    needed = schemas[title].get("required", ())
    return {
        name: SettingDoc(name, _values(schema), _default(schema, name in needed), _one_line(_meaning(schema, schemas)))
        for name, schema in schemas[title].get("properties", {}).items()
    }


def _used_in(title: str, schemas: Schema) -> tuple[str, ...]:
    """Return the keys that hold a block, e.g. `experiment.schedule`.

    A key within a kind is named after the kind's choice.
    """
    choice_of = {kind.__name__: choice.__name__ for choice in choices() for kind in choice.kinds().values()}
    keys: dict[str, None] = {}
    for other, outer in schemas.items():
        for name, schema in outer.get("properties", {}).items():
            if title in references(schema):
                keys[f"{block_name(choice_of.get(other, other))}.{name}"] = None
    return tuple(keys)


def _meaning(schema: Schema, schemas: Schema) -> str:
    """Return a setting's description.

    pydantic leaves it out if it is the same as that of the block that the setting holds.
    """
    if "description" not in schema and "$ref" in schema:
        schema = schemas[next(references(schema))]
    return str(schema.get("description", ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _default(schema: Schema, needed: bool) -> str:
    if needed or "default" not in schema:
        return "must be given" if needed else ""
    value = schema["default"]
    if isinstance(value, Mapping):
        return str(value.get("kind", "its defaults"))
    return json.dumps(value).strip('"')


def _values(schema: Schema) -> str:
    """Describe the values that a setting may have, in words."""
    if "$ref" in schema:
        return f"block {block_name(next(references(schema)))}"
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(_values(part) for part in schema["anyOf"]))
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
