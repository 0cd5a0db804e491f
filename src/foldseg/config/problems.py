"""What is wrong with settings: a line per problem, with the key, the file that set it, and what would be right."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from foldseg.config.draft import Draft, Keys
from foldseg.config.schema import Settings
from foldseg.config.schema.base import ConflictError
from foldseg.config.schema.choice import Choice
from foldseg.errors import FoldsegError

S = TypeVar("S", bound=Settings)
_MOST_LINES = 12
"""So many wrong settings are listed; the others are counted."""
_LONGEST_VALUE = 200
"""So many letters of a wrong value are shown."""
_BLOCKS = {
    "model_attributes_type": "should be the name of a kind, or a mapping of its settings",
    "model_type": "should be a mapping of settings",
}
"""What is said in place of pydantic's message if a value is no block."""
_VALID_KEYS = "valid keys here: "


def validate(draft: Draft, model: type[S], path: Path) -> S:
    """Return the settings of a draft. FoldsegError with a line for every wrong setting; `path` is named first."""
    try:
        return model.model_validate(draft.content)
    except ValidationError as error:
        problems = _merge([_Problem.of(details, draft) for details in error.errors()])
        raise FoldsegError(f"{path}: {len(problems)} wrong setting(s)\n" + "\n".join(_lines(problems))) from None


@dataclass
class _Problem:
    """A wrong setting."""

    keys: Keys
    """Where it is, from the outermost key to the innermost."""
    name: str
    """The keys as a message names them."""
    source: str
    """The file that set it."""
    message: str
    """What is wrong."""
    value_text: str
    """The value, as a message shows it."""
    is_of_type: bool
    """Whether the value has the wrong type. Then another member of a union may be meant."""
    instead_of: Keys | None = None
    """The keys that were probably meant, if they are unknown."""

    @staticmethod
    def of(details: Any, draft: Draft) -> "_Problem":
        """Translate one of pydantic's errors."""
        kind = details["type"]
        keys = _without_tags(details["loc"], draft.content, keep_last=kind in ("missing", "extra_forbidden"))
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, ConflictError):
            conflicting = [(*keys, *key.split(".")) for key in cause.keys]
            name = _join_names(conflicting)
            source = ", ".join(dict.fromkeys(draft.source_of(key) for key in conflicting))
        else:
            name, source = _join_names([keys]) or "(the whole)", draft.source_of(keys)
        if kind == "missing":
            return _Problem(keys, name, source, "is missing", "", False)
        if kind == "extra_forbidden":
            meant, message = _explain_unknown(draft, keys)
            instead_of = None if meant is None else (*keys[:-1], meant)
            return _Problem(keys, name, source, message, "", False, instead_of)
        if kind == "union_tag_invalid":
            tag, valid = details["ctx"]["tag"], _quoted_words(details["ctx"]["expected_tags"])
            message = f"there is no kind {tag}{_suggest(tag, valid)}; valid are {', '.join(valid)}"
            return _Problem(keys, name, source, message, "", False)
        message = (
            details["msg"]
            .removeprefix("Value error, ")
            .replace("valid tuple", "list")
            .replace("a valid dictionary", "a mapping")
        )
        message = _BLOCKS.get(kind, message)
        if kind == "literal_error" and isinstance(details["input"], str):
            message += _suggest(details["input"], _quoted_words(details["ctx"]["expected"]))
        is_block = isinstance(details["input"], dict | BaseModel)
        value_text = "" if is_block else f"; found {_shorten_value(details['input'])}"
        is_of_type = kind.endswith(("_type", "_parsing")) or kind == "literal_error"
        return _Problem(keys, name, source, message, value_text, is_of_type)

    def line(self) -> str:
        """Return `  key (file): what is wrong; what would be right`."""
        return f"  {self.name} ({self.source}): {self.message}{self.value_text}"


def _quoted_words(text: str) -> list[str]:
    """Return the words in quotation marks, as pydantic lists what is valid."""
    return re.findall(r"'([^']*)'", text)


def _suggest(word: str, valid: Iterable[str]) -> str:
    """Return the question after the valid word that is most like a wrong one. Empty if none is like it."""
    matches = difflib.get_close_matches(word, list(valid), 1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _shorten_value(value: Any) -> str:
    """Return a value as a message shows it. A very long one is cut."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _lines(problems: list[_Problem]) -> list[str]:
    """Return a line for each problem, `_MOST_LINES` at most. The valid keys of a block are listed only once."""
    lines: list[str] = []
    listed: set[str] = set()
    for problem in problems[:_MOST_LINES]:
        message, separator, keys = problem.message.partition(_VALID_KEYS)
        if separator and keys in listed:
            problem = replace(problem, message=message.rstrip("; "))
        lines.append(problem.line())
        listed.add(keys)
    if len(problems) > _MOST_LINES:
        lines.append(f"  and {len(problems) - _MOST_LINES} more")
    return lines


def _join_names(keys: Iterable[Keys]) -> str:
    return ", ".join(".".join(str(key) for key in path) for path in keys)


def _merge(problems: list[_Problem]) -> list[_Problem]:
    """Return one problem per wrong setting.

    pydantic reports a value once for each member of a union. It reports a misspelled key twice: as an unknown key, and
    as a missing one.
    """
    meant = [problem.instead_of for problem in problems]
    merged: dict[tuple[Keys, str], _Problem] = {}
    for problem in problems:
        if problem.message == "is missing" and problem.keys in meant:
            continue
        if problem.is_of_type and any(_is_within(other.keys, problem.keys) for other in problems):
            continue
        other = merged.get((problem.keys, problem.name))
        if other is None or (other.is_of_type and not problem.is_of_type):
            merged[problem.keys, problem.name] = problem
        elif other.is_of_type and problem.is_of_type:
            other.message += f", or {problem.message.removeprefix('Input should be ')}"
        elif not problem.is_of_type:
            merged[(*problem.keys, len(merged)), problem.name] = problem
    return list(merged.values())


def _is_within(inner: Keys, outer: Keys) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _explain_unknown(draft: Draft, keys: Keys) -> tuple[str | None, str]:
    """Return the key that was probably meant by an unknown one, if any, and the message about the unknown one."""
    block, key = draft.block_at(keys[:-1]), str(keys[-1])
    if block is None:
        return None, "unknown key"
    valid = list(block.model_fields)
    name, colon, value = key.partition(":")
    if colon and name in valid:
        return name, f"unknown key; a blank is missing after the colon: write {name}: {value}"
    near = difflib.get_close_matches(key, valid, 1)
    other_kinds = _describe_kinds_with(block, key)
    meant = block.mistaken_names.get(key) or (near[0] if near and not other_kinds else None)
    hint = f"did you mean {meant!r}? " if meant else other_kinds
    return meant, f"unknown key; {hint}{_VALID_KEYS}{', '.join(valid)}"


def _describe_kinds_with(block: type[Settings], key: str) -> str:
    """Say which other kinds of a choice have a setting; "" if none has."""
    if not issubclass(block, Choice) or not block.is_kind():
        return ""
    others = [name for name, kind in block.choice().kinds().items() if key in kind.model_fields]
    return f"{block.kind_name()} has no {key}, which is of kind {', '.join(others)}; " if others else ""


def _without_tags(location: Keys, content: Any, *, keep_last: bool) -> Keys:
    """Return a location of pydantic without the parts that are no keys of the file: the members of unions it tried.

    `keep_last`: the last part is a key, although the file lacks it.
    """
    keys: list[Any] = []
    tagged: Any = None
    for index, part in enumerate(location):
        if isinstance(content, str):
            content = {"kind": content}  # the short form of a choice
        if isinstance(content, dict):
            if part == content.get("kind") and content is not tagged:
                tagged = content  # pydantic names the kind before a key of it, which may have the same name
                continue
            is_last = index == len(location) - 1
            if part not in content and not (is_last and keep_last):
                continue
            content = content.get(part)
        elif isinstance(content, list | tuple) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            continue
        keys.append(part)
    return tuple(keys)
