"""The settings classes as a JSON schema, for editors and for the reference of settings.

A choice becomes a definition of its own: a bare name, or the settings of one of its kinds. The fields that hold it
refer to this definition.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from foldseg.config.schema import Ensemble, Experiment, Settings
from foldseg.config.schema.choice import Choice

Schema = Mapping[str, Any]
_PREFIX = "#/$defs/"


def definitions() -> dict[str, Any]:
    """Return the schema of every block of settings by the name of its class, including choices and their kinds."""
    models: list[tuple[type[Settings], Any]] = [(Experiment, "validation"), (Ensemble, "validation")]
    blocks = models_json_schema(models)[1]["$defs"]
    blocks = {title: _with_references(content) for title, content in blocks.items()}
    return blocks | {choice.__name__: _definition_of(choice) for choice in choices()}


def yaml_schema() -> dict[str, Any]:
    """Return a JSON schema of experiments, ensembles and data files, for editors that complete and check them.

    A file says only what differs from its base, so no setting is required.
    """
    blocks = {title: _without_required(content) for title, content in definitions().items()}
    data_file = {"type": "object", "properties": {"data": reference_to("Data")}}
    base = {"base": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}}
    files: list[dict[str, Any]] = [blocks["Experiment"], blocks["Ensemble"], data_file]
    for content in files:
        content["properties"] = base | dict(content["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "foldseg: an experiment, an ensemble or a data set",
        "anyOf": [reference_to("Experiment"), reference_to("Ensemble"), data_file],
        "$defs": blocks,
    }


def choices() -> list[type[Choice]]:
    """Return all choices among settings."""
    return [choice for choice in Choice.__subclasses__() if choice.kinds()]


def reference_to(title: str) -> dict[str, str]:
    """Return the JSON schema that refers to the definition of a class; `title`: the name of the class."""
    return {"$ref": _PREFIX + title}


def references(schema: Any) -> Iterator[str]:
    """Yield the names of the classes that a JSON schema refers to."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield str(schema["$ref"]).removeprefix(_PREFIX)
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def _definition_of(choice: type[Choice]) -> dict[str, Any]:
    """Return the definition of a choice: the names of its kinds, its short forms, or references to its kinds."""
    kinds = [reference_to(kind.__name__) for kind in choice.kinds().values()]
    return {
        "title": choice.__name__,
        "description": (choice.__doc__ or "").strip(),
        "anyOf": [{"enum": list(choice.kinds()), "type": "string"}, *choice.short_forms, *kinds],
    }


def _with_references(schema: Any) -> Any:
    """Return a schema in which the lists of names and kinds that pydantic wrote are references to their choice."""
    if isinstance(schema, list):
        return [_with_references(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    schema = {key: _with_references(value) for key, value in schema.items()}
    for choice in choices():
        names = set(choice.kinds())
        alternatives = schema.get("anyOf", [])
        if any(_tags(part) == names for part in alternatives):
            others = [part for part in alternatives if _tags(part) != names and set(part.get("enum", ())) != names]
            schema["anyOf"] = [reference_to(choice.__name__), *others]
    if len(schema.get("anyOf", ())) == 1:
        (only,) = schema.pop("anyOf")
        schema |= only
    return schema


def _tags(schema: Schema) -> set[str] | None:
    """Return the names of the kinds if a schema is a union that pydantic tells apart by `kind`; otherwise None."""
    return set(schema["discriminator"]["mapping"]) if "discriminator" in schema else None


def _without_required(content: Schema) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != "required"}
