"""Bad pictures, masks and videos."""

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from corpus.bad import SEED, Bad, flipped, of_any_kind, of_bytes

PNG = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE = 0, 2, 3  # colour types in a PNG's header


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = RGB, before: bytes = b"") -> bytes:
    """Return a PNG with whatever in it: `rows` are compressed, `before` are chunks that come first."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@cache
def bomb() -> bytes:
    """Return a small PNG of 400 megapixels: 1.2 GB when it is decoded."""
    compressor = zlib.compressobj(9)
    rows = b"".join(compressor.compress(bytes(60_001)) for _ in range(20_000)) + compressor.flush()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, RGB, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@cache
def bomb_of_text() -> bytes:
    """Return a PNG with a comment of 50 MB, compressed."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 50_000_000, zip=True)
    return saved(picture(96, 64, 1), "PNG", pnginfo=text)


def picture(width: int, height: int, channels: int = 3, kind: type = np.uint8) -> np.ndarray:
    """Return noise."""
    most = np.iinfo(kind).max
    return np.random.default_rng(SEED).integers(0, most, (height, width, channels), kind, endpoint=True).squeeze()


def encoded(array: np.ndarray, suffix: str = ".png") -> bytes:
    """Encode a picture by OpenCV."""
    done, content = cv2.imencode(suffix, array)
    assert done
    return content.tobytes()


def saved(array: np.ndarray, kind: str, **options: object) -> bytes:
    """Encode a picture by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def of_huge_headers() -> Iterator[Bad]:
    """Yield pictures that say that they are large, and some that are."""
    yield of_bytes("png_70000x70000", png(70_000, 70_000, bytes(100)))
    yield of_bytes("png_70000x70000_grey", png(70_000, 70_000, bytes(100), colour=GREY))
    yield of_bytes("png_70000x70000_palette", png(70_000, 70_000, bytes(9), 8, PALETTE, chunk(b"PLTE", bytes(768))))
    yield of_bytes("png_2147483647x1", png(2**31 - 1, 1, bytes(100)))
    yield of_bytes("png_0x0", png(0, 0, b""))
    yield of_bytes("png_width_0", png(0, 64, bytes(64)))
    yield of_bytes("png_bomb", bomb())


def of_png(good: bytes) -> Iterator[Bad]:
    """Yield PNGs of broken structure; `good` is one that is right."""
    yield from of_huge_headers()
    size = struct.unpack(">II", good[16:24])
    rows = bytes((size[0] * 3 + 1) * size[1])
    yield of_bytes("png_header_only", good[:33])
    yield of_bytes("png_without_end", good[:-12])
    yield of_bytes("png_without_data", PNG + good[8:33] + chunk(b"IEND", b""))
    yield of_bytes("png_wrong_checksum", good[:45] + bytes([good[45] ^ 1]) + good[46:])
    yield of_bytes("png_wrong_header_checksum", good[:30] + bytes([good[30] ^ 1]) + good[31:])
    yield of_bytes("png_rows_missing", png(*size, rows[: len(rows) // 2]))
    yield of_bytes("png_data_not_compressed", PNG + good[8:33] + chunk(b"IDAT", b"x" * 99) + chunk(b"IEND", b""))
    yield of_bytes("png_depth_3", png(*size, rows, depth=3))
    yield of_bytes("png_colour_type_5", png(*size, rows, colour=5))
    yield of_bytes("png_palette_missing", png(*size, rows, colour=PALETTE))
    yield of_bytes("png_bits_flipped", flipped(good, 41))
    yield of_bytes("png_length_of_chunk", good[:33] + b"\xff\xff\xff\xff" + good[37:])


def of_photo(good: bytes) -> Iterator[Bad]:
    """Yield bad JPEGs of a data set; `good` is one that is right. Another size is wrong where there is a mask."""
    yield from of_any_kind(good)
    yield from of_huge_headers()
    start = good.index(b"\xff\xda")  # of the compressed data
    frame = good.index(b"\xff\xc0")  # then length, depth, height and width
    yield of_bytes("jpeg_header_only", good[:start])
    yield of_bytes("jpeg_without_end", good[:-2])
    yield of_bytes("jpeg_without_data", good[: start + 14] + b"\xff\xd9")
    yield of_bytes("jpeg_cut_and_ended", good[: start + (len(good) - start) // 2] + b"\xff\xd9")
    yield of_bytes("jpeg_hole", good[: start + 40] + bytes(200) + good[start + 240 :])
    yield of_bytes("jpeg_65535x65535", good[: frame + 5] + b"\xff\xff\xff\xff" + good[frame + 9 :])
    yield of_bytes("jpeg_0x0", good[: frame + 5] + bytes(4) + good[frame + 9 :])
    yield of_bytes("jpeg_without_tables", good.replace(b"\xff\xdb", b"\xff\xed"))
    yield of_bytes("jpeg_12_bits", good[: frame + 4] + b"\x0c" + good[frame + 5 :])
    yield from of_numbers()
    yield of_bytes("svg", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="96" height="64"/>')


def of_numbers() -> Iterator[Bad]:
    """Yield bad NPY and DICOM files."""
    numbers = picture(96, 64).astype(np.float32)
    whole = npy(numbers)
    yield of_bytes("npy_floats", whole)
    yield of_bytes("npy_not_finite", npy(numbers * np.nan))
    yield of_bytes("npy_cut", whole[: len(whole) // 2])
    yield of_bytes("npy_header_cut", whole[:30])
    yield of_bytes("npy_huge", whole.replace(b"(64, 96, 3)", b"(6400000, 9600, 3)"))
    yield of_bytes("npy_negative", npy(numbers[:8, :9]).replace(b"(8, 9, 3)", b"(-8,-9,3)"))
    yield of_bytes("npy_four_axes", npy(numbers[None]))
    yield of_bytes("npy_complex", npy(numbers.astype(np.complex64)))
    yield of_bytes("npy_with_code", npy(np.array([[Path]], object)))
    yield of_bytes("npy_eight_channels", npy(np.zeros((64, 96, 8), np.uint8)))
    mark = bytes(128) + b"DICM"
    yield of_bytes("dicom_mark_only", mark)
    yield of_bytes("dicom_garbage", mark + np.random.default_rng(SEED).bytes(5000))
    rows = struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 64)
    yield of_bytes("dicom_rows_only", mark + rows)


def npy(numbers: np.ndarray) -> bytes:
    """Return an NPY file."""
    stream = io.BytesIO()
    np.save(stream, numbers, allow_pickle=True)
    return stream.getvalue()


def of_frame(good: bytes) -> Iterator[Bad]:
    """Yield what is bad of a picture that has a mask: all of `of_photo`, and another size than the mask's."""
    yield from of_photo(good)
    yield of_bytes("one_pixel", encoded(picture(1, 1), ".jpg"))
    yield of_bytes("one_row_less", encoded(picture(96, 63), ".jpg"))
    yield of_bytes("on_its_side", encoded(picture(64, 96), ".jpg"))


def of_mask(good: bytes) -> Iterator[Bad]:
    """Yield bad masks of 96x64 pixels in colours or ids; `good` is one that is right."""
    yield from of_any_kind(good)
    yield from of_png(good)
    mask = cv2.imdecode(np.frombuffer(good, np.uint8), cv2.IMREAD_UNCHANGED)
    yield of_bytes("mask_one_pixel", encoded(mask[:1, :1]))
    yield of_bytes("mask_one_row_less", encoded(mask[:-1]))
    yield of_bytes("mask_on_its_side", encoded(np.rot90(mask)))
    yield of_bytes("mask_unknown_values", encoded(picture(96, 64, mask.ndim if mask.ndim == 3 else 1)))
    one = mask.copy()
    one[3, 5] = 99
    yield of_bytes("mask_one_unknown_pixel", encoded(one))
    yield of_bytes("mask_16_bits", encoded(mask.astype(np.uint16) * 257))
    yield of_bytes("mask_smoothed", encoded(cv2.resize(cv2.resize(mask, (48, 32)), (96, 64))))
    yield of_bytes("mask_jpeg", encoded(mask, ".jpg"))
    yield of_bytes("mask_half_transparent", encoded(np.dstack([picture(96, 64), picture(96, 64, 1)])))
    yield of_bytes("mask_one_bit", saved(picture(96, 64, 1) > 127, "PNG"))
    yield of_bytes("mask_float_tiff", encoded(mask.astype(np.float32) + 0.5, ".tiff"))
    yield of_bytes("mask_of_noise_with_a_bomb_of_text", bomb_of_text())


def of_video(good: bytes) -> Iterator[Bad]:
    """Yield bad MP4s; `good` is one that is right."""
    yield from of_any_kind(good)
    yield of_bytes("video_cut_near_the_end", good[:-500])
    yield of_bytes("video_bits_flipped", flipped(good, 0, len(good) // 20))
    yield of_bytes("video_a_text", b"frame 1\nframe 2\n")
    yield of_bytes("video_subtitles", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    yield of_bytes("video_list_of_segments", b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n")
    yield of_bytes("video_list_of_files", b"ffconcat version 1.0\nfile '/etc/hostname'\n")
    yield of_bytes("video_description_of_a_session", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n")
    yield of_bytes("video_sound", _sound())
    yield of_bytes("video_without_frames", good[: good.index(b"mdat") + 4])


def _sound() -> bytes:
    head = b"RIFF" + struct.pack("<I", 36 + 1600) + b"WAVEfmt "
    return (
        head + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack("<I", 1600) + bytes(1600)
    )
