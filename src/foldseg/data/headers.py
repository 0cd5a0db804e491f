"""The header of a picture file: kind, size, orientation, bits, pages. It also shows whether the file is cut short.

Nothing is decoded for it.
"""

import io
import re
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from PIL import Image as PillowImage

from foldseg.data.number_files import NPY_START, is_dicom, read_dicom_layout, read_npy_layout
from foldseg.data.tiff import Directory, read_directories, read_exactly
from foldseg.errors import FoldsegError

PillowImage.MAX_IMAGE_PIXELS = None  # Pillow's limit is lower than MAX_PIXELS, which holds for every decoder

MAX_PIXELS = 1 << 30
"""The largest picture that OpenCV decodes."""

PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_END = b"\xff\xd9"
_TAIL = 64
"""Most JPEGs have their end marker in the last so many bytes."""
_CHANGES_PIXELS = (b"tRNS", b"eXIf")
"""Those of a PNG's ancillary chunks that change what is seen. Ancillary chunks begin with a small letter."""
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Type of a PNG's colours -> bits per channel that the type may have."""
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""Type of a PNG's colours -> number of channels. A palette has three."""
_HEIC = re.compile(rb"^....ftyp(heic|heix|hevc|heim|heis|mif1|msf1)", re.DOTALL)
_CUT = "is cut short ({}); copy or download it again"


@dataclass(frozen=True)
class Header:
    """What a file says about its picture."""

    kind: str
    """JPEG, PNG, TIFF, NPY, DICOM or Pillow's name of another format."""
    height: int
    """Height as stored, in pixels."""
    width: int
    """Width as stored, in pixels."""
    orientation: int = 1
    """EXIF's orientation, from 1 (upright) to 8."""
    bits: int = 8
    """Bits per channel; 0 if only decoding tells."""
    numbers: str = "unsigned"
    """Type of the numbers: unsigned, signed or float."""
    channels: int = 3
    """Number of channels."""
    paletted: bool = False
    """Whether pixels are indices of a palette."""
    pages: int = 1
    """Number of pages or frames."""
    aspect: float = 1.0
    """Width of a pixel divided by its height."""
    scan: int | None = None
    """The byte of a JPEG at which a scan of all channels begins; None if there is no such scan."""

    def size(self, upright: bool) -> tuple[int, int]:
        """Return (height, width) as a viewer shows the picture if `upright`, otherwise as it is stored."""
        is_turned = upright and self.orientation > 4
        return (self.width, self.height) if is_turned else (self.height, self.width)


def read_header(path: Path, stream: BinaryIO, check_sums: bool = False) -> Header:
    """Return the header of a picture; `stream` holds the content of `path`, which is named in errors.

    With `check_sums` the check sums of a PNG are verified. FoldsegError if the file is no picture, is cut short, or
    holds several pictures or more than `MAX_PIXELS` pixels.
    """
    start = stream.read(len(PNG_START))
    if not start:
        raise FoldsegError(f"{path}: is empty")
    stream.seek(0)
    try:
        if start.startswith(PNG_START):
            header = _read_png(path, stream, check_sums)
        elif start.startswith(JPEG_START):
            header = _read_jpeg(path, stream)
        elif start.startswith(_TIFF_STARTS):
            header = _read_tiff(path, stream)
        elif start.startswith(NPY_START):
            header = Header("NPY", **read_npy_layout(path, stream)._asdict())
        elif is_dicom(path, stream):
            header = Header("DICOM", **read_dicom_layout(path, stream)._asdict())
        else:
            header = _read_other(path, stream)
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


def _read_png(path: Path, stream: BinaryIO, check_sums: bool) -> Header:
    header, earlier_chunks = Header("PNG", 0, 0), set[bytes]()
    stream.seek(len(PNG_START))
    while True:
        start = stream.tell()
        length, name = struct.unpack(">I4s", read_exactly(stream, 8))
        if not name.isalpha():
            raise FoldsegError(f"{path}: is damaged: byte {start} should begin a chunk of a PNG")
        is_verified = check_sums and (name[:1].isupper() or name in _CHANGES_PIXELS)
        if is_verified or name in (b"IHDR", b"acTL", b"eXIf", b"pHYs"):
            content = read_exactly(stream, length)
            expected = struct.unpack(">I", read_exactly(stream, 4))[0]
            if is_verified and zlib.crc32(content, zlib.crc32(name)) != expected:
                raise FoldsegError(
                    f"{path}: is damaged: the check sum of its {name.decode()} chunk is wrong; copy it again"
                )
            is_first = name not in earlier_chunks
            _check_chunk(path, name, content, is_first)
            header = _add_chunk(header, name, content)
        else:
            stream.seek(length + 4, io.SEEK_CUR)
        earlier_chunks.add(name)
        if name == b"IEND":
            if header.paletted and b"PLTE" not in earlier_chunks:
                raise FoldsegError(f"{path}: is damaged: its pixels are places of a palette, and it has none")
            return header


def _check_chunk(path: Path, name: bytes, content: bytes, is_first: bool) -> None:
    """Raise FoldsegError for damage of which libpng would only print a line that names no file.

    `is_first`: whether it is the first chunk of its name.
    """
    if name == b"IHDR" and len(content) >= 10 and content[8] not in _DEPTHS.get(content[9], ()):
        raise FoldsegError(f"{path}: is damaged: a PNG has no colours of type {content[9]} with {content[8]} bits")
    if name == b"IDAT" and is_first and len(content) > 1:
        begins_zlib_stream = content[0] & 15 == 8 and int.from_bytes(content[:2]) % 31 == 0  # RFC 1950
        if not begins_zlib_stream:
            raise FoldsegError(f"{path}: is damaged: its pixels are not compressed as those of a PNG are")


def _add_chunk(header: Header, name: bytes, content: bytes) -> Header:
    """Return the header with what a chunk of a PNG states."""
    if name == b"IHDR":
        width, height, bits, colours = struct.unpack_from(">IIBB", content)
        channels = _CHANNELS.get(colours, 3)
        return replace(header, width=width, height=height, bits=bits, paletted=colours == 3, channels=channels)
    if name == b"acTL":
        return replace(header, pages=struct.unpack_from(">I", content)[0])
    if name == b"eXIf":
        return replace(header, orientation=_read_orientation(content))
    if name == b"pHYs":
        across, down = struct.unpack_from(">II", content)
        return replace(header, aspect=down / across if across and down else 1.0)
    return header


def _read_jpeg(path: Path, stream: BinaryIO) -> Header:
    header = Header("JPEG", 0, 0)
    has_exif = False
    stream.seek(2)
    while True:
        marker = _next_marker(stream)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these markers have no content
            continue
        if marker == 0xD9:
            raise FoldsegError(f"{path}: is damaged: it ends before its pixels begin")
        content = read_exactly(stream, max(0, struct.unpack(">H", read_exactly(stream, 2))[0] - 2))
        if marker == 0xDA:  # the pixels begin
            has_all_channels = content[:1] == bytes([header.channels])
            header = replace(header, scan=stream.tell() if has_all_channels else None)
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", content)
            header = replace(header, bits=bits, height=height, width=width, channels=channels)
        elif marker == 0xE1 and content.startswith(b"Exif\0\0") and not has_exif:
            header = replace(header, orientation=_read_orientation(content[6:]))
            has_exif = True
        elif marker == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 12:
            across, down = struct.unpack_from(">HH", content, 8)
            header = replace(header, aspect=down / across if across and down else 1.0)
    if not _has_end_marker(stream):
        raise FoldsegError(f"{path}: {_CUT.format('its end marker is missing')}")
    return header


def _next_marker(stream: BinaryIO) -> int:
    """Return the next marker of a JPEG. Bytes that should not be before it are passed over, as decoders do."""
    while read_exactly(stream, 1) != b"\xff":
        pass
    while (byte := read_exactly(stream, 1)) == b"\xff":
        pass
    return byte[0]


def _has_end_marker(stream: BinaryIO) -> bool:
    """Return whether the end marker of a JPEG follows; `stream` is where its pixels begin.

    Phones append whole videos after the marker, so it need not be at the end of the file.
    """
    pixels = stream.tell()
    stream.seek(max(pixels, stream.seek(0, io.SEEK_END) - _TAIL))
    if _JPEG_END in stream.read():
        return True
    stream.seek(pixels)
    return _JPEG_END in stream.read()


def _read_orientation(exif: bytes) -> int:
    """Return the orientation that EXIF states; 1 (upright) if it is missing or invalid.

    `exif` begins as a TIFF does.
    """
    try:
        directory = next(read_directories(io.BytesIO(exif)))
        value = directory.first(274, 1)
    except (struct.error, EOFError, StopIteration):
        return 1
    return value if 1 <= value <= 8 else 1


_REDUCED_OR_MASK = 1 | 4
"""Bits of the tag NewSubfileType: such a page is a smaller version, or the mask, of another page."""
_NUMBERS = {1: "unsigned", 2: "signed", 3: "float"}


def _read_tiff(path: Path, stream: BinaryIO) -> Header:
    pages = [page for page in read_directories(stream) if not page.first(254, 0) & _REDUCED_OR_MASK]
    if not pages:
        raise FoldsegError(f"{path}: is damaged: it holds no page")
    page = pages[0]
    _check_tiff_is_whole(path, page, stream.seek(0, io.SEEK_END))
    orientation = page.first(274, 1)
    return Header(
        "TIFF",
        height=page.first(257, 0),
        width=page.first(256, 0),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        bits=page.first(258, 1),
        numbers=_NUMBERS.get(page.first(339, 1), "unsigned"),
        channels=page.first(277, 1),
        paletted=page.first(262, 0) == 3,
        pages=len(pages),
    )


def _check_tiff_is_whole(path: Path, page: Directory, size: int) -> None:
    """Raise FoldsegError if strips or tiles of pixels lie behind the end of the file, which has `size` bytes."""
    for start_tag, length_tag in ((273, 279), (324, 325)):
        starts, lengths = page.tags.get(start_tag, ()), page.tags.get(length_tag, ())
        if any(start + length > size for start, length in zip(starts, lengths, strict=False)):
            raise FoldsegError(f"{path}: {_CUT.format('its pixels lie behind its end')}")


def _read_other(path: Path, stream: BinaryIO) -> Header:
    """Read the header of a BMP, WebP, GIF, ... with Pillow."""
    try:
        with PillowImage.open(stream) as picture:
            orientation = picture.getexif().get(274, 1)
            is_valid = isinstance(orientation, int) and 1 <= orientation <= 8
            return Header(
                picture.format or "",
                picture.height,
                picture.width,
                orientation if is_valid else 1,
                bits=8 if picture.format in ("BMP", "GIF", "WEBP") else 0,
                paletted=picture.mode == "P",
                pages=getattr(picture, "n_frames", 1),
            )
    except FoldsegError:
        raise
    except Exception as error:  # Pillow's readers may raise any exception on a damaged file
        stream.seek(0)
        raise FoldsegError(f"{path}: {_describe_unreadable(stream.read(64))}") from error


def _describe_unreadable(start: bytes) -> str:
    """Say why a file is not read that begins with these bytes."""
    if _HEIC.match(start):
        return "is a HEIC picture, which is not read here; convert it to JPEG or PNG"
    words = start.split(b"\n")[0][:40]
    return f"is not a readable image: it begins with {words!r}; expected JPEG, PNG, TIFF, BMP, WebP, NPY or DICOM"
