"""Reading pictures and masks: what a file holds comes back, and a bad file is named."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from foldseg.config.schema import Pictures
from foldseg.data import camvid, signate
from foldseg.data.mask_files import read_mask
from foldseg.data.reading import read_image, read_image_size, read_small_grey
from foldseg.errors import FoldsegError

IDS = np.array([[0, 3, 11], [10, 8, 1]], np.uint8)
INDICES = [[0, 3, 255], [10, 8, 1]]


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def write(path: Path, picture: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), picture)
    return path


def without_image_data(path: Path) -> Path:
    """Replace the pixels of a PNG by nonsense of the same length; header and end marker stay."""
    content = bytearray(path.read_bytes())
    start = content.index(b"IDAT") + 4
    length = struct.unpack(">I", content[start - 8 : start - 4])[0]
    content[start : start + length] = b"\x5a" * length
    content[start + length : start + length + 4] = struct.pack(">I", zlib.crc32(content[start - 4 : start + length]))
    path.write_bytes(bytes(content))
    return path


def test_a_picture_is_read_as_rgb(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))  # OpenCV writes BGR
    assert read_image(path).tolist() == [[[3, 2, 1], [6, 5, 4]]]


def test_a_grey_picture_has_three_channels(tmp_path: Path) -> None:
    assert read_image(write(tmp_path / "a.png", np.array([[7, 9]], np.uint8))).tolist() == [[[7] * 3, [9] * 3]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_image_and_mask_are_turned_alike_or_not_at_all(tmp_path: Path, suffix: str, orientation: int) -> None:
    """Pillow turns every picture in the way that EXIF's standard says."""
    ids = np.zeros((40, 56), np.uint8)
    ids[:15, :20], ids[30:, 40:] = 3, 8
    stored = PillowImage.fromarray(camvid.LABELS.colours[ids])
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    image, mask = tmp_path / f"a.{suffix}", tmp_path / "mask.png"
    stored.save(image, exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {"lossless": True}))
    PillowImage.fromarray(ids).save(mask, exif=exif)
    for how, turn in (("upright", ImageOps.exif_transpose), ("stored", lambda picture: picture)):
        pictures = Pictures(orientation=how)
        of_file, of_ids = PillowImage.fromarray(camvid.LABELS.colours[ids]), PillowImage.fromarray(ids)
        of_file.getexif()[0x0112] = of_ids.getexif()[0x0112] = orientation
        expected = np.array(turn(of_file))
        found = read_image(image, pictures)
        assert found.shape == expected.shape and np.abs(found.astype(int) - expected).max() < 12
        assert np.array_equal(read_mask(mask, camvid.LABELS, pictures), np.array(turn(of_ids)))
        assert read_image_size(image, pictures) == read_image_size(mask, pictures) == found.shape[:2]
        if how == "upright":
            grey = cv2.cvtColor(found, cv2.COLOR_RGB2GRAY)
            assert np.abs(read_small_grey(image, 1000).astype(int) - grey).max() < 12


def test_whatever_a_picture_holds_is_read_as_8_bit_rgb(tmp_path: Path, noise: np.ndarray) -> None:
    grey = np.repeat(noise[..., :1], 3, -1)
    wide = (noise.astype(np.uint16) * 257)[..., ::-1]
    kinds = {
        "rgba.png": (np.dstack([noise[..., ::-1], noise[..., 0]]), noise),
        "deep.png": (wide, noise),
        "deep.tiff": (wide, noise),
        "deep_grey.png": (wide[..., 2], grey),
        "grey.bmp": (noise[..., 0], grey),
    }
    for name, (stored, expected) in kinds.items():
        assert np.array_equal(read_image(write(tmp_path / name, stored)), expected), name


def test_a_picture_of_too_many_pixels_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "huge.png", np.zeros((1, 1, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(FoldsegError, match=r"huge\.png: is 60000x60000 pixels; at most 1,073,741,824"):
        read_image(path)


@pytest.mark.parametrize(
    ("name", "size", "width", "expected"),
    [
        ("a.jpg", (160, 320), 40, (20, 40)),  # an eighth is wide enough
        ("a.jpg", (160, 320), 41, (40, 80)),
        ("a.jpg", (160, 320), 100, (80, 160)),
        ("a.jpg", (160, 320), 161, (160, 320)),
        ("a.jpg", (160, 320), 999, (160, 320)),
        ("a.jpg", (160, 4000), 40, (20, 500)),
        ("a.png", (160, 320), 40, (160, 320)),  # decoding a PNG in part saves nothing
    ],
)
def test_a_jpeg_is_read_as_small_as_is_asked_for(
    tmp_path: Path, name: str, size: tuple[int, int], width: int, expected: tuple[int, int]
) -> None:
    ramp = np.linspace(0, 255, size[1]).astype(np.uint8)[None].repeat(size[0], 0)
    found = read_small_grey(write(tmp_path / name, ramp), width)
    assert (found.dtype, found.shape) == (np.uint8, expected)
    assert np.abs(found[expected[0] // 2] - np.linspace(0, 255, expected[1])).max() < 10


def test_ids_become_indices_and_void(tmp_path: Path) -> None:
    assert read_mask(write(tmp_path / "m.png", IDS), camvid.LABELS).tolist() == INDICES


@pytest.mark.parametrize("bits", [4, 8])
def test_a_paletted_mask_gives_its_indices(tmp_path: Path, bits: int) -> None:
    picture = PillowImage.fromarray(IDS, mode="P")
    picture.putpalette([value for index in range(2**bits) for value in (200 - index % 99, index, 90)])
    picture.save(tmp_path / "m.png", bits=bits)
    assert (tmp_path / "m.png").read_bytes()[24:26] == bytes([bits, 3])
    assert read_mask(tmp_path / "m.png", camvid.LABELS).tolist() == INDICES


def test_an_rgb_mask_gives_the_indices_of_its_colours(tmp_path: Path) -> None:
    picture = signate.LABELS.colours[np.array([[0, 8], [19, 1]])]
    path = write(tmp_path / "m.png", picture[..., ::-1])
    assert read_mask(path, signate.LABELS).tolist() == [[0, 8], [19, 1]]
    assert read_mask(path, signate.LABELS.select("scored")).tolist() == [[1, 4], [0, 2]]


@pytest.mark.parametrize(
    ("picture", "labels", "says"),
    [
        (np.array([[0, 300]], np.uint16), camvid.LABELS, r"holds unknown ids \[300\]"),
        (np.zeros((2, 2, 3), np.uint16), signate.LABELS, "16-bit mask; colours have 8 bits"),
        (np.full((2, 2, 3), [1, 2, 1], np.uint8), camvid.LABELS, "has 3 channels that differ; .*mask_values=colors"),
        (np.zeros((2, 2, 4), np.uint8), camvid.LABELS, "4 of its pixels are transparent"),
        (IDS, signate.LABELS, r"unknown colour\(s\).*one channel; if it holds ids"),
        (np.full((2, 2, 4), 254, np.uint8), signate.LABELS, "4 of its pixels are transparent"),
        (np.array([[0, 12]], np.uint8), camvid.LABELS, r"holds unknown ids \[12\]"),
        (np.full((1, 2, 3), [3, 2, 1], np.uint8), signate.LABELS, r"unknown colour\(s\), e\.g\. RGB \(1, 2, 3\)"),
    ],
)
def test_a_mask_of_the_wrong_kind_is_named(tmp_path: Path, picture: np.ndarray, labels: object, says: str) -> None:
    path = write(tmp_path / "wrong.png", picture)
    with pytest.raises(FoldsegError, match=rf"wrong\.png: .*{says}"):
        read_mask(path, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_file_cut_short_is_named(tmp_path: Path, noise: np.ndarray, name: str) -> None:
    path = write(tmp_path / name, noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    for read in (read_image, read_image_size, lambda p: read_mask(p, camvid.LABELS)):
        with pytest.raises(FoldsegError, match=rf"{name}: is cut short"):
            read(path)


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "is empty"), (b"id,fold\n1,2\n", "is damaged|is not a readable image")]
)
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for read in (read_image, read_image_size, lambda p: read_mask(p, camvid.LABELS)):
        with pytest.raises(FoldsegError, match=rf"a\.png: ({says})"):
            read(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for read in (read_image, read_image_size, lambda p: read_mask(p, camvid.LABELS)):
        with pytest.raises(FoldsegError, match=r"a\.png: (cannot be read: )?[Nn]o such file"):
            read(tmp_path / "a.png")
        with pytest.raises(FoldsegError, match=tmp_path.name):
            read(tmp_path)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_mask_whose_pixels_are_damaged_is_named(tmp_path: Path, mode: str) -> None:
    PillowImage.fromarray(np.zeros((40, 50), np.uint8), mode=mode).save(tmp_path / "m.png")
    path = without_image_data(tmp_path / "m.png")
    with pytest.raises(FoldsegError, match=r"m\.png: is damaged"):
        read_mask(path, camvid.LABELS)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (31, 17)])
def test_the_size_is_height_and_width(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = write(tmp_path / "m.png", np.zeros(shape, np.uint8))
    assert read_image_size(path) == shape
    assert read_mask(path, camvid.LABELS).shape == shape
    assert read_image(path).shape == (*shape, 3)
