"""Files of one smooth scene as phones, cameras, microscopes, tools and broken disks leave them."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

ORIENTATION = 0x0112  # EXIF's tag


def scene(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB: two ramps, squares and a little noise."""
    rows, columns = np.mgrid[:height, :width]
    squares = np.where((columns // 16 + rows // 16) % 2, 200, 60)
    clean = np.stack([columns * 255 // width, rows * 255 // height, squares], 2)
    noise = np.random.default_rng(seed).normal(0, 5, clean.shape)
    return np.clip(clean + noise, 0, 255).astype(np.uint8)


def encoded(picture: np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    """Encode an RGB or grey array by Pillow."""
    stream = io.BytesIO()
    PillowImage.fromarray(picture).save(stream, kind, **options)
    return stream.getvalue()


def with_orientation(picture: np.ndarray, orientation: int, kind: str = "JPEG", **options: object) -> bytes:
    """Encode what a camera stores that was held so: a viewer shows `picture`."""
    undo = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]  # quarter turns, counter-clockwise
    exif = PillowImage.Exif()
    exif[ORIENTATION] = orientation
    return encoded(np.ascontiguousarray(np.rot90(picture, undo)), kind, exif=exif, **options)


def hole(content: bytes, length: int, fill: bytes = b"", place: float = 0.5) -> bytes:
    """Lose `length` bytes of a file, or overwrite them by `fill`."""
    start = int(len(content) * place)
    return content[:start] + fill * length + content[start + length :]


def with_size(png: bytes, height: int, width: int) -> bytes:
    """Let a PNG's header say another size; its check sum is right."""
    head = png[:16] + struct.pack(">II", width, height) + png[24:29]
    return head + struct.pack(">I", zlib.crc32(head[12:])) + png[33:]


def jpeg_with_size(jpeg: bytes, height: int, width: int) -> bytes:
    """Let a baseline JPEG's header say another size."""
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def many_pages(kind: str, **options: object) -> bytes:
    """Encode the scene and its negative into one file."""
    return encoded(scene(), kind, save_all=True, append_images=[PillowImage.fromarray(255 - scene())], **options)


def by_opencv(suffix: str, picture: np.ndarray, *options: int) -> bytes:
    """Encode any array, of any depth; RGB becomes OpenCV's BGR."""
    done, content = cv2.imencode(suffix, picture[..., ::-1] if picture.ndim == 3 else picture, options)
    assert done
    return content.tobytes()


def whole_pictures() -> dict[str, bytes]:
    """Name -> content of pictures that are odd, and whole; each shows the scene."""
    picture = scene()
    jpeg, png = encoded(picture, quality=95), encoded(picture, "PNG")
    trailer = np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    deep = picture.astype(np.uint16) * 257
    return {
        "phone.jpg": jpeg + bytes(100) + b"SEFH" + bytes(60) + b"SEFT",
        "motion.jpg": jpeg + struct.pack(">I4s", 24, b"ftyp") + b"mp42" + trailer,
        "padded.jpg": jpeg + bytes(4096),
        "left_over.jpg": jpeg[:-2] + bytes(3) + jpeg[-2:],
        "progressive.jpg": encoded(picture, quality=95, progressive=True),
        "cmyk.jpg": _cmyk(picture),
        "sampled_411.jpg": by_opencv(".jpg", picture, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x411111),
        "sampled_440.jpg": by_opencv(".jpg", picture, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x121111),
        "restarts.jpg": by_opencv(".jpg", picture, cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
        "icc.jpg": encoded(picture, quality=95, icc_profile=b"\0" * 200),
        "trailing.png": png + bytes(512),
        "gamma.png": _with_chunk(png, b"gAMA", struct.pack(">I", 45455)),
        "deep.png": by_opencv(".png", deep),
        "deep.tif": by_opencv(".tif", deep),
        "bmp_named.jpg": encoded(picture, "BMP"),
        "webp_named.png": encoded(picture, "WEBP", lossless=True),
        "gif_named.jpg": encoded(picture, "GIF"),
        "turned.jpg": with_orientation(picture, 6, quality=95),
        "turned.png": with_orientation(picture, 8, "PNG"),
        "turned.tif": with_orientation(picture, 3, "TIFF"),
        "turned.webp": with_orientation(picture, 6, "WEBP", lossless=True),
        "thumbnail.tif": _with_thumbnail(picture),
    }


def broken_pictures() -> dict[str, tuple[bytes, str]]:
    """Name -> content that cannot be used as a picture, and a part of what is to be said of it."""
    picture = scene()
    jpeg, png = encoded(picture, quality=95), encoded(picture, "PNG")
    progressive, palette = encoded(picture, quality=95, progressive=True), _palette(picture)
    scans = [place for place in range(len(progressive)) if progressive[place : place + 2] == b"\xff\xda"]
    dark = picture.astype(np.uint16) * 16
    return {
        "empty.jpg": (b"", "is empty"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "is cut short (its end marker is missing)"),
        "cut_in_header.jpg": (jpeg[:300], "is cut short"),
        "cut_at_scan.jpg": (progressive[: scans[3]], "is cut short (its end marker is missing)"),
        "cut.png": (png[: len(png) // 2], "is cut short"),
        "cut.tif": (encoded(picture, "TIFF")[:-500], "is cut short"),
        "hole_cut.jpg": (hole(jpeg, 900), "is damaged"),
        "hole_zeros.jpg": (hole(jpeg, 900, b"\0"), "128 and more bytes of its pixels are zero"),
        "hole_noise.jpg": (hole(jpeg, 1, np.random.default_rng(3).bytes(900)), "is damaged"),
        "ends_early.jpg": (jpeg[: len(jpeg) // 2] + b"\xff\xd9", "is damaged: some of its pixels are lost"),
        "hole_progressive.jpg": (hole(progressive, 900, place=0.4), "is damaged"),
        "too_long.jpg": (jpeg[:-2] + b"\x55" * 200 + jpeg[-2:], "bytes are left over behind its last pixel"),
        "bit.png": (hole(png, 1, b"\x55"), "is damaged: the check sum of its IDAT chunk is wrong"),
        "hole_cut.png": (hole(png, 900), "copy or download it again"),
        "palette.png": (palette.replace(b"PLTE\0", b"PLTE\1"), "is damaged: the check sum of its PLTE chunk is wrong"),
        "text.jpg": (b"id,fold\n1,2\n", "is not a readable image: it begins with b'id,fold'"),
        "page.png": (b"<!DOCTYPE html><title>404</title>", "it begins with b'<!DOCTYPE html>"),
        "phone.png": (b"\0\0\0\x18ftypheic" + bytes(90), "is a HEIC picture, which is not read here"),
        "float.tif": (
            by_opencv(".tif", picture.astype(np.float32)),
            "holds numbers of the type float32 from 0 to 255, and nothing says",
        ),
        "int32.tif": (
            encoded(picture[..., 0].astype(np.int32), "TIFF"),
            "holds numbers of the type int32 from 0 to 255",
        ),
        "pages.tif": (many_pages("TIFF"), "holds 2 pages or frames"),
        "moves.webp": (many_pages("WEBP"), "holds 2 pages or frames"),
        "moves.png": (many_pages("PNG"), "holds 2 pages or frames"),
        "twelve.png": (by_opencv(".png", dark), "is a 16-bit picture without a value above"),
        "twelve.tif": (by_opencv(".tif", dark), "is a 16-bit picture without a value above"),
        "huge.png": (with_size(png, 70000, 70000), "is 70000x70000 pixels; at most 1,073,741,824 are read"),
        "huge.jpg": (jpeg_with_size(jpeg, 40000, 40000), "is 40000x40000 pixels; at most 1,073,741,824 are read"),
        "no_pixels.jpg": (jpeg_with_size(jpeg, 0, 128), "is damaged: its header says 128x0 pixels"),
    }


def strange_files(folder: Path) -> dict[str, str]:
    """Make what has a picture's name and is no file; name -> a part of what is to be said of it."""
    os.mkfifo(folder / "pipe.png")
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    (folder / "folder.png").mkdir()  # is searched, not read
    return {"pipe.png": "is a pipe or device", "nowhere.png": "no such file", "circle.jpg": "symbolic links"}


def _cmyk(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(picture).convert("CMYK").save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _palette(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    image = PillowImage.fromarray(picture[..., 2] // 8)
    image.putpalette([0, 7, 7] * 256)
    image.save(stream, "PNG")
    return stream.getvalue()


def _with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    """Add a chunk behind the header of a PNG."""
    sums = zlib.crc32(name + content)
    return png[:33] + struct.pack(">I", len(content)) + name + content + struct.pack(">I", sums) + png[33:]


def _with_thumbnail(picture: np.ndarray) -> bytes:
    """A TIFF whose second page says that it is a smaller version of the first."""
    stream = io.BytesIO()
    small = PillowImage.fromarray(np.ascontiguousarray(picture[::4, ::4]))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    PillowImage.fromarray(picture).save(stream, "TIFF", save_all=True, append_images=[small])
    return stream.getvalue()
