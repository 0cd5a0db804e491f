"""A bad file, and what can be wrong with a file of any kind."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SEED = 20

HTML = b"<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head><body>Please log in.</body></html>\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 12345\n"
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
ZIP = b"PK\x05\x06" + b"\0" * 18  # an archive without entries


@dataclass(frozen=True)
class Bad:
    """A bad file: `name` says how it is bad, `write` makes it at a path where nothing is.

    `key`: the one key of a mapping that is not as it should be, if it is that.
    """

    name: str
    write: Callable[[Path], None]
    key: str | None = None


def of_bytes(name: str, content: bytes, key: str | None = None) -> Bad:
    """Return a bad file of this content."""
    return Bad(name, lambda path: write_content(path, content), key)


def write_content(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def of_any_kind(good: bytes) -> Iterator[Bad]:
    """Yield what can be wrong with any file; `good` is the content of one that is right."""
    yield from not_a_file()
    yield from of_other_content(good)
    yield from damaged(good)


def not_a_file() -> Iterator[Bad]:
    """Yield what has the file's name and is none, or cannot be read."""
    yield Bad("a_folder", lambda path: path.mkdir())
    yield Bad("a_pipe", lambda path: os.mkfifo(path))
    yield Bad("an_endless_device", lambda path: path.symlink_to("/dev/zero"))
    yield Bad("a_link_to_nothing", lambda path: path.symlink_to("nothing"))
    yield Bad("a_link_to_itself", lambda path: path.symlink_to(path.name))
    if sys.platform == "linux":  # a plain file whose first byte is an I/O error, for root, too
        yield Bad("unreadable", lambda path: path.symlink_to("/proc/self/mem"))
    if os.geteuid() != 0:  # root may read everything
        yield Bad("not_permitted", write_unpermitted)


def write_unpermitted(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)


def of_other_content(good: bytes) -> Iterator[Bad]:
    """Yield what a download, a copy or a hand left under the file's name."""
    yield of_bytes("empty", b"")
    yield of_bytes("a_web_page", HTML)
    yield of_bytes("a_pointer_of_git_lfs", LFS)
    yield of_bytes("a_gif", GIF)
    yield of_bytes("an_empty_archive", ZIP)
    yield of_bytes("zeros", bytes(max(len(good), 64)))
    yield of_bytes("noise", np.random.default_rng(SEED).bytes(4096))


def damaged(good: bytes) -> Iterator[Bad]:
    """Yield a good file that is cut short, or of which a part is gone."""
    yield of_bytes("first_byte_only", good[:1])
    yield of_bytes("cut_after_an_eighth", good[: len(good) // 8])
    yield of_bytes("cut_in_half", good[: len(good) // 2])
    yield of_bytes("head_is_zeros", bytes(16) + good[16:])
    yield of_bytes("second_half_is_zeros", good[: len(good) // 2] + bytes(len(good) - len(good) // 2))


def flipped(good: bytes, start: int = 0, count: int = 8) -> bytes:
    """Flip a bit in `count` bytes after `start`, always the same ones."""
    content = bytearray(good)
    for place in np.random.default_rng(SEED).integers(start, len(good), count).tolist():
        content[place] ^= 1 << place % 8
    return bytes(content)
