"""Ids of images that come from names of files or from tables: made safe, so that they can be names of files."""

import hashlib
import unicodedata
from collections.abc import Iterable

from foldseg.data.listing import PICTURES
from foldseg.data.samples import MAX_ID, quote
from foldseg.errors import FoldsegError

_FOLDER = "__"
"""What a slash in a name becomes."""


def make_safe_id(name: str, most: int = MAX_ID) -> str:
    """Return the id of an image whose name is `name`, e.g. `aachen/a 1` -> `aachen__a 1`.

    Slashes, a dot at the beginning and characters that cannot be printed are replaced. A name of more than
    `most` bytes is cut, and ends with a hash of the whole. Other names stay, but for their Unicode form (NFC).
    """
    text = unicodedata.normalize("NFC", name).strip()
    text = text.replace("/", _FOLDER).replace("\\", _FOLDER)
    text = "".join(character if character.isprintable() else "_" for character in text)
    if text.startswith("."):
        text = "_" + text[1:]
    if len(text.encode()) <= most:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return text.encode()[: most - 13].decode(errors="ignore") + "_" + digest


def make_safe_ids(names: Iterable[str], source: str) -> dict[str, str]:
    """Return the safe id of each name. FoldsegError, which begins with `source`, if two names get the same one."""
    name_of_id: dict[str, str] = {}
    ids = {}
    for name in names:
        safe = make_safe_id(name)
        other = name_of_id.setdefault(safe, name)
        if other != name:
            raise FoldsegError(f"{source}: {quote(other)} and {quote(name)} would both have the id {safe}; rename one")
        ids[name] = safe
    return ids


def drop_picture_suffix(name: str) -> str:
    """Return a name without the suffix of a picture: `a.jpg` -> `a`. Other names are not changed."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and f".{suffix.lower()}" in PICTURES else name
