"""What is wrong with settings, in a line each: the key, the file that said it, and what would be right."""

import difflib
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
_SHOWN = 12  # wrong settings
_LONGEST = 200  # letters of a wrong value
_VALID_KEYS = "valid keys here: "


def validate(draft: Draft, model: type[S], path: Path) -> S:
    """Return the settings that a draft comes to. FoldsegError with a line for every wrong one."""
    try:
        return model.model_validate(draft.content)
    except ValidationError as error:
        problems = [_Problem.of(details, draft) for details in error.errors()]
        merged = _merged(problems)
        raise FoldsegError(f"{path}: {len(merged)} wrong setting(s)\n" + "\n".join(_lines(merged))) from None


@dataclass
class _Problem:
    """What pydantic says of a setting: its keys, where it was said, what is wrong, and the value (if it is short)."""

    keys: Keys
    name: str
    source: str
    message: str
    found: str
    is_of_type: bool  # the value is of another type, so another member of a union may be what was meant
    instead_of: Keys | None = None  # the key that was meant by an unknown one

    @staticmethod
    def of(details: Any, draft: Draft) -> "_Problem":
        """Translate one of pydantic's errors."""
        kind = details["type"]
        keys = _without_tags(details["loc"], draft.content, keep_last=kind in ("missing", "extra_forbidden"))
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, ConflictError):
            blamed = [(*keys, *key.split(".")) for key in cause.keys]
            name, source = _names(blamed), ", ".join(dict.fromkeys(draft.source_of(key) for key in blamed))
        else:
            name, source = _names([keys]) or "(the whole)", draft.source_of(keys)
        if kind == "missing":
            return _Problem(keys, name, source, "is missing", "", False)
        if kind == "extra_forbidden":
            meant, message = _unknown(draft, keys)
            return _Problem(keys, name, source, message, "", False, None if meant is None else (*keys[:-1], meant))
        message = details["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
        found = "" if isinstance(details["input"], dict | BaseModel) else f"; found {_short(details['input'])}"
        is_of_type = kind.endswith(("_type", "_parsing")) or kind == "literal_error"
        return _Problem(keys, name, source, message, found, is_of_type)

    def line(self) -> str:
        """Return `  key (file): what is wrong; what would be right`."""
        return f"  {self.name} ({self.source}): {self.message}{self.found}"


def _short(value: Any) -> str:
    """Return a wrong value as it is shown: whole, unless it is very long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _lines(problems: list[_Problem]) -> list[str]:
    """Return a line for each problem, `_SHOWN` at most. The valid keys of a block are listed once."""
    lines: list[str] = []
    listed: set[str] = set()
    for problem in problems[:_SHOWN]:
        message, separator, keys = problem.message.partition(_VALID_KEYS)
        again = bool(separator) and keys in listed
        lines.append(replace(problem, message=message.rstrip("; ")).line() if again else problem.line())
        listed.add(keys)
    return [*lines, f"  and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else lines


def _names(keys: Iterable[Keys]) -> str:
    return ", ".join(".".join(str(key) for key in path) for path in keys)


def _merged(problems: list[_Problem]) -> list[_Problem]:
    """One problem for each wrong setting: pydantic reports every member of a union, and a misnamed key twice."""
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


def _unknown(draft: Draft, keys: Keys) -> tuple[str | None, str]:
    """Return the key that was probably meant by an unknown one, if any, and what is to be said."""
    block, key = draft.block_at(keys[:-1]), str(keys[-1])
    if block is None:
        return None, "unknown key"
    valid = list(block.model_fields)
    near = difflib.get_close_matches(key, valid, 1)
    of_others = _kinds_with(block, key)
    meant = block.mistaken_names.get(key) or (near[0] if near and not of_others else None)
    hint = f"did you mean {meant!r}? " if meant else of_others
    return meant, f"unknown key; {hint}{_VALID_KEYS}{', '.join(valid)}"


def _kinds_with(block: type[Settings], key: str) -> str:
    """Say which other kinds of a choice have a setting."""
    if not issubclass(block, Choice) or not block.is_kind():
        return ""
    others = [name for name, kind in block.choice().kinds().items() if key in kind.model_fields]
    return f"{block.kind_name()} has no {key}, which is of kind {', '.join(others)}; " if others else ""


def _without_tags(location: Keys, content: Any, *, keep_last: bool) -> Keys:
    """Drop what pydantic puts into a location that is no key of the file: the member of a union it tried.

    `keep_last`: the last part is a key although the file lacks it.
    """
    keys: list[Any] = []
    for index, part in enumerate(location):
        if isinstance(content, dict):
            is_last = index == len(location) - 1
            if part not in content and not (is_last and keep_last):
                continue
            if part not in content and part == content.get("kind"):
                continue
            content = content.get(part)
        elif isinstance(content, list | tuple) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            continue
        keys.append(part)
    return tuple(keys)
