"""What a picture file says of itself before it is decoded: kind, size, orientation, bits, pages; is it whole?"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from PIL import Image as PillowImage

from foldseg.errors import FoldsegError

PillowImage.MAX_IMAGE_PIXELS = None  # how large a picture may be is decided here, for every decoder

MAX_PIXELS = 1 << 30
"""OpenCV decodes no more."""

PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_END = b"\xff\xd9"
_TAIL = 64  # bytes in which a file without a trailer ends
_CHANGES_PIXELS = (b"tRNS", b"eXIf")  # of a PNG's ancillary chunks, which are spelled in small letters
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Type of a PNG's colours -> bits per channel."""
_HEIC = re.compile(rb"^....ftyp(heic|heix|hevc|heim|heis|mif1|msf1)", re.DOTALL)
_CUT = "is cut short ({}); copy or download it again"


@dataclass(frozen=True)
class Header:
    """What a file says of its picture.

    `kind`: JPEG, PNG, TIFF or Pillow's name of another format. `height`, `width`: as stored, in pixels. `orientation`:
    EXIF's, 1 (upright) to 8. `bits`: per channel, 0 where only decoding tells. `numbers`: unsigned, signed or float.
    `aspect`: width of a pixel divided by its height. `scan`: the byte of a JPEG at which a scan of all
    channels begins.
    """

    kind: str
    height: int
    width: int
    orientation: int = 1
    bits: int = 8
    numbers: str = "unsigned"
    channels: int = 3
    paletted: bool = False
    pages: int = 1
    aspect: float = 1.0
    scan: int | None = None

    def size(self, upright: bool) -> tuple[int, int]:
        """(height, width) of the pixels as they are stored, or as a viewer shows them."""
        return (self.width, self.height) if upright and self.orientation > 4 else (self.height, self.width)


def read_header(path: Path, stream: BinaryIO, check_sums: bool = False) -> Header:
    """Read the header from `stream`, the content of `path`; with `check_sums` also verify a PNG's check sums.

    FoldsegError for a file that is no picture, is cut short, holds several pictures or more pixels than are read.
    """
    start = stream.read(len(PNG_START))
    if not start:
        raise FoldsegError(f"{path}: is empty")
    stream.seek(0)
    try:
        if start.startswith(PNG_START):
            header = _png(path, stream, check_sums)
        elif start.startswith(JPEG_START):
            header = _jpeg(path, stream)
        elif start.startswith(_TIFF_STARTS):
            header = _tiff(path, stream)
        else:
            header = _other(path, stream)
    except (struct.error, EOFError) as error:
        raise FoldsegError(f"{path}: {_CUT.format('it ends too early')}") from error
    if header.pages > 1:
        raise FoldsegError(
            f"{path}: holds {header.pages} pages or frames; which one is meant is not known: save that one as a file"
        )
    if header.height < 1 or header.width < 1:
        raise FoldsegError(f"{path}: is damaged: its header says {header.width}x{header.height} pixels")
    if header.height * header.width > MAX_PIXELS:
        raise FoldsegError(
            f"{path}: is {header.width}x{header.height} pixels; at most {MAX_PIXELS:,} are read: cut it into parts"
        )
    return header


def _png(path: Path, stream: BinaryIO, check_sums: bool) -> Header:
    header, seen = Header("PNG", 0, 0), set[bytes]()
    stream.seek(len(PNG_START))
    while True:
        place = stream.tell()
        length, name = struct.unpack(">I4s", _exactly(stream, 8))
        if not name.isalpha():
            raise FoldsegError(f"{path}: is damaged: byte {place} should begin a chunk of a PNG")
        reads = name in (b"IHDR", b"acTL", b"eXIf", b"pHYs") or (check_sums and _matters(name))
        if reads:
            content = _exactly(stream, length)
            expected = struct.unpack(">I", _exactly(stream, 4))[0]
            if check_sums and _matters(name) and zlib.crc32(content, zlib.crc32(name)) != expected:
                raise FoldsegError(
                    f"{path}: is damaged: the check sum of its {name.decode()} chunk is wrong; copy it again"
                )
            _check_chunk(path, seen, name, content)
            header = _with_chunk(header, name, content)
        else:
            stream.seek(length + 4, io.SEEK_CUR)
        seen.add(name)
        if name == b"IEND":
            if header.paletted and b"PLTE" not in seen:
                raise FoldsegError(f"{path}: is damaged: its pixels are places of a palette, and it has none")
            return header


def _check_chunk(path: Path, seen: set[bytes], name: bytes, content: bytes) -> None:
    """FoldsegError for what makes libpng print lines of its own, in which no file is named."""
    if name == b"IHDR" and len(content) >= 10 and content[8] not in _DEPTHS.get(content[9], ()):
        raise FoldsegError(f"{path}: is damaged: a PNG has no colours of type {content[9]} with {content[8]} bits")
    if name == b"IDAT" and b"IDAT" not in seen and len(content) > 1 and not _begins_zlib(content):
        raise FoldsegError(f"{path}: is damaged: its pixels are not compressed as those of a PNG are")


def _begins_zlib(content: bytes) -> bool:
    return content[0] & 15 == 8 and int.from_bytes(content[:2]) % 31 == 0  # RFC 1950


def _matters(name: bytes) -> bool:
    return name[:1].isupper() or name in _CHANGES_PIXELS


def _with_chunk(header: Header, name: bytes, content: bytes) -> Header:
    if name == b"IHDR":
        width, height, bits, colours = struct.unpack_from(">IIBB", content)
        return replace(header, width=width, height=height, bits=bits, paletted=colours == 3)
    if name == b"acTL":
        return replace(header, pages=struct.unpack_from(">I", content)[0])
    if name == b"eXIf":
        return replace(header, orientation=_orientation(content))
    if name == b"pHYs":
        across, down = struct.unpack_from(">II", content)
        return replace(header, aspect=down / across if across and down else 1.0)
    return header


def _jpeg(path: Path, stream: BinaryIO) -> Header:
    header = Header("JPEG", 0, 0)
    turned = False
    stream.seek(2)
    while True:
        marker = _next_marker(stream)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # stand alone
            continue
        if marker == 0xD9:
            raise FoldsegError(f"{path}: is damaged: it ends before its pixels begin")
        content = _exactly(stream, max(0, struct.unpack(">H", _exactly(stream, 2))[0] - 2))
        if marker == 0xDA:  # the pixels begin
            holds_all = content[:1] == bytes([header.channels])
            header = replace(header, scan=stream.tell() if holds_all else None)
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", content)
            header = replace(header, bits=bits, height=height, width=width, channels=channels)
        elif marker == 0xE1 and content.startswith(b"Exif\0\0") and not turned:
            header, turned = replace(header, orientation=_orientation(content[6:])), True
        elif marker == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 12:
            across, down = struct.unpack_from(">HH", content, 8)
            header = replace(header, aspect=down / across if across and down else 1.0)
    if not _ends(stream):
        raise FoldsegError(f"{path}: {_CUT.format('its end marker is missing')}")
    return header


def _next_marker(stream: BinaryIO) -> int:
    """Return the next marker; as decoders do, pass over what should not be before it."""
    while _exactly(stream, 1) != b"\xff":
        pass
    while (byte := _exactly(stream, 1)) == b"\xff":
        pass
    return byte[0]


def _ends(stream: BinaryIO) -> bool:
    """Whether the end marker comes after the pixels began; phones append whole videos to it."""
    pixels = stream.tell()
    stream.seek(max(pixels, stream.seek(0, io.SEEK_END) - _TAIL))
    if _JPEG_END in stream.read():
        return True
    stream.seek(pixels)
    return _JPEG_END in stream.read()


def _orientation(exif: bytes) -> int:
    """EXIF's orientation, from its TIFF header on; 1 (upright) where it says nothing that is valid."""
    try:
        directory = next(_directories(io.BytesIO(exif)))
        value = directory.first(274, 1)
    except (struct.error, EOFError, StopIteration):
        return 1
    return value if 1 <= value <= 8 else 1


@dataclass(frozen=True)
class _Directory:
    """One of a TIFF's directories, which describes a page: number of a tag -> its values."""

    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def first(self, tag: int, default: int) -> int:
        return self.tags[tag][0] if self.tags.get(tag) else default


_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types of tags whose values are read
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_PAGES = 10_000


def _directories(stream: BinaryIO) -> Iterator[_Directory]:
    """Yield the directories of a TIFF, or BigTIFF, one after the other (Adobe, TIFF 6.0)."""
    start = _exactly(stream, 8)
    order = "<" if start[:2] == b"II" else ">"
    large = struct.unpack_from(order + "H", start, 2)[0] == 43
    offset = (
        struct.unpack(order + "Q", _exactly(stream, 8))[0] if large else struct.unpack_from(order + "I", start, 4)[0]
    )
    count_format, entry_format, next_format = ("Q", "HHQ", "Q") if large else ("H", "HHI", "I")
    room = 8 if large else 4
    for _ in range(_MOST_PAGES):
        if not offset:
            return
        stream.seek(offset)
        count = struct.unpack(order + count_format, _exactly(stream, struct.calcsize(order + count_format)))[0]
        entry = struct.calcsize(order + entry_format) + room
        table = _exactly(stream, count * entry)
        offset = struct.unpack(order + next_format, _exactly(stream, room))[0] if _has(stream, room) else 0
        tags = {}
        for place in range(0, len(table), entry):
            tag, kind, number = struct.unpack_from(order + entry_format, table, place)
            if kind not in _INTEGERS:
                continue
            size = number * _TYPE_SIZES[kind]
            values = table[place + entry - room : place + entry]
            if size > room:
                stream.seek(struct.unpack(order + next_format, values)[0])
                values = _exactly(stream, size)
            tags[tag] = struct.unpack_from(f"{order}{number}{_INTEGERS[kind]}", values)
        yield _Directory(tags)


def _has(stream: BinaryIO, size: int) -> bool:
    """Whether so many bytes are left; some writers of EXIF leave out the last offset."""
    place = stream.tell()
    left = len(stream.read(size)) == size
    stream.seek(place)
    return left


_REDUCED_OR_MASK = 1 | 4  # bits of the tag NewSubfileType: such a page belongs to another one
_NUMBERS = {1: "unsigned", 2: "signed", 3: "float"}


def _tiff(path: Path, stream: BinaryIO) -> Header:
    pages = [page for page in _directories(stream) if not page.first(254, 0) & _REDUCED_OR_MASK]
    if not pages:
        raise FoldsegError(f"{path}: is damaged: it holds no page")
    page = pages[0]
    _check_tiff_is_whole(path, page, stream.seek(0, io.SEEK_END))
    orientation = page.first(274, 1)
    return Header(
        "TIFF",
        page.first(257, 0),
        page.first(256, 0),
        orientation if 1 <= orientation <= 8 else 1,
        page.first(258, 1),
        _NUMBERS.get(page.first(339, 1), "unsigned"),
        page.first(277, 1),
        page.first(262, 0) == 3,
        len(pages),
    )


def _check_tiff_is_whole(path: Path, page: _Directory, size: int) -> None:
    """FoldsegError when strips or tiles of pixels lie behind the end of the file."""
    for starts, lengths in ((273, 279), (324, 325)):
        ends = [
            start + length for start, length in zip(page.tags.get(starts, ()), page.tags.get(lengths, ()), strict=False)
        ]
        if any(end > size for end in ends):
            raise FoldsegError(f"{path}: {_CUT.format('its pixels lie behind its end')}")


def _other(path: Path, stream: BinaryIO) -> Header:
    """BMP, WebP, GIF, ...: as Pillow reads their headers."""
    try:
        with PillowImage.open(stream) as picture:
            return Header(
                picture.format or "",
                picture.height,
                picture.width,
                _valid(picture.getexif().get(274, 1)),
                8 if picture.format in ("BMP", "GIF", "WEBP") else 0,
                paletted=picture.mode == "P",
                pages=getattr(picture, "n_frames", 1),
            )
    except FoldsegError:
        raise
    except Exception as error:  # Pillow's readers raise whatever their parsing ends with
        stream.seek(0)
        raise FoldsegError(f"{path}: {_what_it_is(stream.read(64))}") from error


def _valid(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _what_it_is(start: bytes) -> str:
    if _HEIC.match(start):
        return "is a HEIC picture, which is not read here; convert it to JPEG or PNG"
    words = start.split(b"\n")[0][:40]
    return f"is not a readable image: it begins with {words!r}; expected JPEG, PNG, TIFF, BMP or WebP"


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes; EOFError when the file ends before."""
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content
