"""Masks in every form in which people keep them: read as they are meant, or refused with the setting that says it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from foldseg.config.schema import Pictures
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.mask_files import fit_size, read_index_mask, read_mask, read_plane
from foldseg.errors import FoldsegError

SALT = LabelSet((LabelClass("background", (0, 0, 0), (0,)), LabelClass("salt", (255, 0, 0), (255,))))
FEW = LabelSet(tuple(LabelClass(f"c{index}", (index, 0, 9), (index,)) for index in range(4)), void_ids=(255,))
COLOURS = LabelSet(
    (LabelClass("road", (128, 64, 128), (0,)), LabelClass("sky", (70, 130, 180), (1,))),
    raw_colours=((128, 64, 128), (70, 130, 180)),
)
RAW = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)


def write(path: Path, picture: np.ndarray, *options: int) -> Path:
    assert cv2.imwrite(str(path), picture, options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("form", ["grey", "three equal channels", "opaque alpha"])
def test_ids_are_read_from_every_lossless_form(tmp_path: Path, suffix: str, form: str) -> None:
    forms = {
        "grey": RAW,
        "three equal channels": np.stack([RAW] * 3, -1),
        "opaque alpha": np.stack([RAW] * 3 + [np.full_like(RAW, 255)], -1),
    }
    path = write(tmp_path / f"m{suffix}", forms[form])
    assert read_mask(path, FEW).tolist() == RAW.tolist()


def test_grey_with_alpha_is_read(tmp_path: Path) -> None:
    PillowImage.fromarray(np.stack([RAW, np.full_like(RAW, 255)], -1), "LA").save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", FEW).tolist() == RAW.tolist()


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_a_palette_gives_its_index(tmp_path: Path, suffix: str) -> None:
    picture = PillowImage.fromarray(np.minimum(RAW, 3), mode="P")
    picture.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200, 50, 60, 70])
    picture.save(tmp_path / f"m{suffix}")
    assert read_mask(tmp_path / f"m{suffix}", FEW).tolist() == np.minimum(RAW, 3).tolist()


def test_ids_of_16_bits_are_read(tmp_path: Path) -> None:
    labels = LabelSet((LabelClass("road", (1, 1, 1), (7,)), LabelClass("car", (2, 2, 2), (26001,))))
    path = write(tmp_path / "m.png", np.array([[7, 26001]], np.uint16))
    assert read_mask(path, labels).tolist() == [[0, 1]]


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    for suffix in (".png", ".tif", ".bmp"):
        PillowImage.fromarray(np.array([[True, False, True]])).save(tmp_path / f"m{suffix}")
        assert read_mask(tmp_path / f"m{suffix}", SALT).tolist() == [[1, 0, 1]], suffix


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_is_read_as_it_is_stored(tmp_path: Path, bits: int) -> None:
    import struct
    import zlib

    values = [0, 1, 2, 3]
    row = sum(value << (bits * (3 - index)) for index, value in enumerate(values)).to_bytes(bits * 4 // 8, "big")

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(content, zlib.crc32(name))
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    (tmp_path / "m.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert read_mask(tmp_path / "m.png", FEW).tolist() == [values]


def test_grey_edges_are_refused_with_their_cure(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", np.array([[0, 3, 90, 127, 128, 255]], np.uint8))
    with pytest.raises(FoldsegError, match=r"m\.png: .*\[3, 90, 127, 128\].*grey edges: set data\.pictures\.mask_thr"):
        read_mask(path, SALT)
    assert read_mask(path, SALT, Pictures(mask_threshold=128)).tolist() == [[0, 0, 0, 0, 1, 1]]


def test_black_and_white_with_ids_0_and_1_is_told_apart_from_grey_edges(tmp_path: Path) -> None:
    labels = LabelSet((LabelClass("background", (0, 0, 0), (0,)), LabelClass("salt", (255, 0, 0), (1,))))
    path = write(tmp_path / "m.png", np.array([[0, 255]], np.uint8))
    with pytest.raises(FoldsegError, match="black and white: give the classes the ids 0 and 255"):
        read_mask(path, labels)


def test_a_jpeg_is_read_with_a_threshold_alone(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 8:20] = 255
    path = write(tmp_path / "m.jpg", mask)
    with pytest.raises(FoldsegError, match=r"m\.jpg: is a JPEG.*mask_threshold=128"):
        read_mask(path, SALT)
    assert np.array_equal(read_mask(path, SALT, Pictures(mask_threshold=128)), mask // 255)


def test_the_share_that_a_threshold_decides_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import foldseg.notices

    foldseg.notices._logged.discard("mask_threshold")
    for name in ("a.png", "b.png"):
        read_mask(write(tmp_path / name, np.array([[0, 100, 200, 255]], np.uint8)), SALT, Pictures(mask_threshold=128))
    assert caplog.text.count("50.00% of its pixels are between black and white") == 1


def test_mixed_colours_are_refused_or_nearest(tmp_path: Path) -> None:
    rgb = np.array([[[128, 64, 128], [70, 130, 180], [70, 130, 180], [120, 70, 133]]], np.uint8)
    path = write(tmp_path / "m.png", rgb[..., ::-1])
    with pytest.raises(FoldsegError, match=r"RGB \(120, 70, 133\).*25\.00% of its pixels.*nearest_color=100"):
        read_mask(path, COLOURS)
    assert read_mask(path, COLOURS, Pictures(nearest_color=20)).tolist() == [[0, 1, 1, 0]]
    with pytest.raises(FoldsegError, match=r"RGB \(120, 70, 133\)"):
        read_mask(path, COLOURS, Pictures(nearest_color=5))


def test_the_nearest_colour_is_that_of_a_slow_search(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (20, 30, 3), np.uint8)
    path = write(tmp_path / "m.png", rgb[..., ::-1])
    distances = np.linalg.norm(rgb[..., None, :].astype(float) - np.array(COLOURS.raw_colours), axis=-1)
    assert np.array_equal(read_mask(path, COLOURS, Pictures(nearest_color=442)), distances.argmin(-1))


def test_a_palette_of_colours_is_read_by_its_colours(tmp_path: Path) -> None:
    picture = PillowImage.fromarray(np.array([[1, 0]], np.uint8), mode="P")
    picture.putpalette([*COLOURS.raw_colours[0], *COLOURS.raw_colours[1]])
    picture.save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", COLOURS).tolist() == [[1, 0]]


def test_a_plane_is_what_is_not_black(tmp_path: Path) -> None:
    assert read_plane(write(tmp_path / "a.png", np.array([[0, 7, 0]], np.uint8))).tolist() == [[False, True, False]]
    grey = write(tmp_path / "b.png", np.array([[0, 7, 200]], np.uint8))
    with pytest.raises(FoldsegError, match=r"b\.png: holds 3 values.*mask_threshold=128"):
        read_plane(grey)
    assert read_plane(grey, Pictures(mask_threshold=128)).tolist() == [[False, False, True]]


def test_class_bits_may_be_shared_by_raw_ids(tmp_path: Path) -> None:
    tumour = LabelSet((LabelClass("whole", (1, 0, 0), (1, 2)), LabelClass("core", (0, 1, 0), (2,))), overlapping=True)
    path = write(tmp_path / "m.png", np.array([[0, 1, 2]], np.uint8))
    assert read_mask(path, tumour).tolist() == [[0, 1, 3]]


def test_a_mask_is_resized_only_if_it_is_asked_for() -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    assert fit_size(mask, (4, 4), Pictures()) is mask
    assert fit_size(mask, (4, 4), Pictures(resize_masks=True)).tolist() == np.kron(mask, np.ones((2, 2), int)).tolist()


def test_indices_of_16_bits_are_checked(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", np.array([[0, 300]], np.uint16))
    with pytest.raises(FoldsegError, match=r"holds \[300\]"):
        read_index_mask(path, LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,)) for i in range(4))))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_masks_may_be_numpy_files(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    ids = np.array([[0, 1, 0], [1, 1, 0]])
    np.save(tmp_path / "m.npy", ids.reshape(shape).astype(dtype))
    labels = LabelSet((LabelClass("a", (0, 0, 0), (0,)), LabelClass("b", (1, 1, 1), (1,))))
    assert read_mask(tmp_path / "m.npy", labels).tolist() == ids.tolist()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((2, 3)), "the type float64; expected ids"),
        (np.zeros((2, 3, 2), np.uint8), r"the shape \(2, 3, 2\)"),
        (np.full((2, 3), -1), "holds ids from -1 to 0; they are 0 to 65535"),
    ],
)
def test_numpy_files_that_are_no_masks_are_named(tmp_path: Path, array: np.ndarray, says: str) -> None:
    np.save(tmp_path / "m.npy", array)
    labels = LabelSet((LabelClass("a", (0, 0, 0), (0,)),))
    with pytest.raises(FoldsegError, match=rf"m\.npy: .*{says}"):
        read_mask(tmp_path / "m.npy", labels)
