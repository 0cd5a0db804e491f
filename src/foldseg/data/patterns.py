"""Patterns that find files: `images/{id}.jpg`, `{group}/{id}/masks/{part}.png`. See `config.schema.Folders`."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from foldseg.data.listing import NUMBER_FILES, PICTURES, list_files
from foldseg.errors import FoldsegError

_TOKEN = re.compile(r"\{([^{}]*)\}|\*")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]+$")
MASK_FILES = tuple(suffix for suffix in PICTURES if suffix not in NUMBER_FILES)
"""Suffixes of files that may be masks, in any case."""


@dataclass(frozen=True)
class Match:
    """A file that a pattern found, and what its fields stand for there, e.g. {"id": "a", "group": "berlin"}."""

    path: Path
    fields: Mapping[str, str]


class Pattern:
    """A pattern of paths below a root. ValueError if it is no valid one."""

    def __init__(self, text: str, id_template: str = "{id}", labels: Sequence[str] = ()) -> None:
        """Take the pattern `text`, and how an id is made of its fields.

        `labels` are what `{class}` may stand for. With none, it is anything in a name.
        """
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{text}: a pattern is relative to data.root, and does not leave it")
        self.text = path.as_posix()
        fixed = []
        for part in path.parts[:-1]:
            if _TOKEN.search(part):
                break
            fixed.append(part)
        self.folder = PurePosixPath(*fixed)
        """The folder below the root that all files of the pattern are in."""
        self._regex = re.compile(self._translate(labels))
        self._id_template = id_template
        missing = [name for name in list_fields(id_template) if name not in self._regex.groupindex]
        if missing:
            raise ValueError(f"{text}: lacks {{{missing[0]}}}, of which the id of an image is made ({id_template})")

    def match(self, relative: str) -> dict[str, str] | None:
        """Return what the fields stand for in a path below the root; None if the pattern does not match.

        The field `id` is the id of the image.
        """
        match = self._regex.fullmatch(relative)
        if match is None:
            return None
        fields = match.groupdict()
        return fields | {"id": self._id_template.format_map(fields)}

    def _translate(self, labels: Sequence[str]) -> str:
        text = unicodedata.normalize("NFC", self.text)
        suffix = _SUFFIX.search(text)
        body = text[: suffix.start()] if suffix else text
        parts, place, seen = [], 0, set[str]()
        for token in _TOKEN.finditer(body):
            parts.append(re.escape(body[place : token.start()]))
            parts.append(self._translate_token(token, seen, labels))
            place = token.end()
        parts.append(re.escape(body[place:]))
        if suffix:
            parts.append(f"(?i:{re.escape(suffix[0])})")
        return "".join(parts)

    def _translate_token(self, token: re.Match[str], seen: set[str], labels: Sequence[str]) -> str:
        name = token[1]
        if name is None:
            return "[^/]*"
        if not name.isidentifier():
            raise ValueError(f"{self.text}: {{{name}}} should be a name, e.g. {{id}}")
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        if name == "id":
            return "(?P<id>.+)"
        if name == "class" and labels:
            longest_first = sorted((unicodedata.normalize("NFC", label) for label in labels), key=len, reverse=True)
            return f"(?P<class>{'|'.join(map(re.escape, longest_first))})"
        return f"(?P<{name}>[^/]+)"


def list_fields(template: str) -> list[str]:
    """Return the names in braces of a text: `{day}_{slice}` -> day, slice."""
    return [token[1] for token in _TOKEN.finditer(template) if token[1] is not None]


def find_matches(
    root: Path, patterns: Iterable[Pattern], without: Path, suffixes: Sequence[str] = PICTURES
) -> list[Match]:
    """Return the files below `root`, but not below `without`, that match one of the patterns, sorted by path.

    A file that several patterns match is taken by the first one. FoldsegError if a folder is missing.
    """
    matches: dict[Path, Match] = {}
    for pattern in patterns:
        folder = root / pattern.folder
        for path in list_files(folder, suffixes, deep=True, without=without).files:
            relative = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
            fields = pattern.match(relative)
            if fields is not None and path not in matches:
                matches[path] = Match(path, fields)
    return [matches[path] for path in sorted(matches)]


def compile_patterns(
    texts: Iterable[str], key: str, id_template: str = "{id}", labels: Sequence[str] = ()
) -> list[Pattern]:
    """Return the patterns of settings. FoldsegError, which begins with `key`, if one is not valid."""
    try:
        return [Pattern(text, id_template, labels) for text in texts]
    except ValueError as error:
        raise FoldsegError(f"{key}: {error}") from None
