"""Every verb, looked up from the typer app itself: for `foldseg commands` and its page."""

import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

_EXAMPLE = "Example: "
_WORDS = {str: "text", int: "whole number", float: "number", Path: "path"}


@dataclass(frozen=True)
class WordDoc:
    """An argument or option. `values`: what it may be; `default`: as it is written, or empty."""

    name: str
    values: str
    default: str
    meaning: str


@dataclass(frozen=True)
class VerbDoc:
    """One verb. `group`: where `foldseg --help` shows it; `usage` and `example`: lines of a shell."""

    name: str
    group: str
    usage: str
    meaning: str
    arguments: tuple[WordDoc, ...]
    options: tuple[WordDoc, ...]
    example: str


def describe_verbs(root: Any) -> list[VerbDoc]:
    """Return all verbs of the command `foldseg`, by group, in the order of `foldseg --help`.

    root: what `typer.main.get_command` returns.
    """
    verbs = [verb for name, command in root.commands.items() for verb in _describe(name, command, "")]
    return sorted(verbs, key=lambda verb: verb.group)


def _describe(name: str, command: Any, outer_group: str) -> Iterator[VerbDoc]:
    """Yield a verb, then the verbs below it."""
    group = outer_group or command.rich_help_panel
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    usage = ["foldseg", name, *map(_usage, arguments), *(_usage(option) for option in options if option.required)]
    if len(options) > sum(option.required for option in options):
        usage.append("[OPTIONS]")
    yield VerbDoc(
        name,
        group,
        " ".join(usage),
        textwrap.dedent(command.help).strip(),
        tuple(map(_describe_word, arguments)),
        tuple(map(_describe_word, options)),
        command.epilog.removeprefix(_EXAMPLE),
    )
    for inner, below in getattr(command, "commands", {}).items():
        yield from _describe(f"{name} {inner}", below, group)


def _usage(param: Any) -> str:
    if param.param_type_name == "option":
        return f"{param.opts[0]} {param.metavar or param.name.upper()}"
    shown = f"{_name(param)} ..." if param.nargs == -1 else _name(param)
    return shown if param.required else f"[{shown}]"


def _name(param: Any) -> str:
    if param.param_type_name == "option":
        return " / ".join([*param.opts, *param.secondary_opts])
    return str(param.metavar or param.name.upper())


def _describe_word(param: Any) -> WordDoc:
    is_option = param.param_type_name == "option"
    values = _values(param)
    if is_option and param.metavar:
        values = param.metavar
    return WordDoc(_name(param), values, _default(param), param.help or "")


def _values(param: Any) -> str:
    """Describe the values of an argument or option, in words."""
    annotation = _without_none(param.type_descriptor.annotation)
    if typing.get_origin(annotation) is list:
        annotation = typing.get_args(annotation)[0]
    if annotation is bool:
        return ""
    if typing.get_origin(annotation) is Literal:
        return " | ".join(map(str, typing.get_args(annotation)))
    bounds = [("from", getattr(param, "min", None)), ("to", getattr(param, "max", None))]
    limits = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
    return " ".join([_WORDS.get(annotation, "text"), *limits])


def _without_none(annotation: Any) -> Any:
    if isinstance(annotation, types.UnionType):
        return next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    return annotation


def _default(param: Any) -> str:
    if param.required:
        return "must be given"
    if param.default is None:
        return ""
    if isinstance(param.default, bool):
        return "on" if param.default else "off"
    return str(param.default.value if isinstance(param.default, Enum) else param.default)
