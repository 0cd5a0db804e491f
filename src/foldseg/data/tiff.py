"""The directories of a TIFF, each of which describes a page. EXIF is written in the same form."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO


@dataclass(frozen=True)
class Directory:
    """One of a TIFF's directories, which describes a page; `tags`: number of a tag -> its values."""

    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def first(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        return self.tags[tag][0] if self.tags.get(tag) else default


_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of the tags that are read -> the format of a value, as `struct` has it."""
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_PAGES = 10_000


def read_directories(stream: BinaryIO) -> Iterator[Directory]:
    """Yield the directories of a TIFF or BigTIFF, one after the other (Adobe, TIFF 6.0)."""
    start = read_exactly(stream, 8)
    layout = _TiffLayout("<" if start[:2] == b"II" else ">")
    if layout.read_number("H", start, 2) == 43:
        layout = replace(layout, count="Q", entry="HHQ", offset="Q")
        start += read_exactly(stream, 8)
    offset = layout.read_number(layout.offset, start, len(start) - layout.offset_size)
    for _ in range(_MOST_PAGES):
        if not offset:
            return
        stream.seek(offset)
        count = layout.read_number(layout.count, read_exactly(stream, struct.calcsize(f"<{layout.count}")))
        table = read_exactly(stream, count * layout.entry_size)
        next_offset = stream.read(layout.offset_size)
        is_complete = len(next_offset) == layout.offset_size  # some writers of EXIF leave the last offset out
        offset = layout.read_number(layout.offset, next_offset) if is_complete else 0
        yield _read_tags(stream, table, layout)


@dataclass(frozen=True)
class _TiffLayout:
    """How the numbers of a TIFF are stored, as formats of `struct`; the defaults are those of TIFF, not BigTIFF."""

    order: str
    """Order of bytes."""
    count: str = "H"
    """Number of a directory's entries."""
    entry: str = "HHI"
    """Begin of an entry: tag, type, number of values. The values follow, or the offset at which they are."""
    offset: str = "I"

    @property
    def offset_size(self) -> int:
        """Bytes of an offset."""
        return struct.calcsize(f"<{self.offset}")

    @property
    def entry_size(self) -> int:
        """Bytes of an entry."""
        return struct.calcsize(f"<{self.entry}") + self.offset_size

    def read_number(self, number_format: str, content: bytes, start: int = 0) -> int:
        """Return the number at a byte of `content`."""
        return int(struct.unpack_from(self.order + number_format, content, start)[0])


def _read_tags(stream: BinaryIO, table: bytes, layout: _TiffLayout) -> Directory:
    """Return the tags of a directory whose entries are in `table`; other types than whole numbers are left out."""
    tags = {}
    for start in range(0, len(table), layout.entry_size):
        tag, kind, number = struct.unpack_from(layout.order + layout.entry, table, start)
        if kind not in _INTEGERS:
            continue
        end = start + layout.entry_size
        values = table[end - layout.offset_size : end]
        size = number * _TYPE_SIZES[kind]
        if size > layout.offset_size:  # the values do not fit into the entry, which holds their offset
            stream.seek(layout.read_number(layout.offset, values))
            values = read_exactly(stream, size)
        tags[tag] = struct.unpack_from(f"{layout.order}{number}{_INTEGERS[kind]}", values)
    return Directory(tags)


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Return the next `size` bytes. EOFError if the file ends before."""
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content
