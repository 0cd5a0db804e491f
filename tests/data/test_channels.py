"""Image files of any channels and numbers: what is read of them, and what is said of those that cannot be read."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image as PillowImage
from pydantic import ValidationError
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from foldseg.config.schema import Pictures
from foldseg.data.channels import as_grey, as_rgb, pad_channels, resize_channels
from foldseg.data.image_statistics import measure_statistics
from foldseg.data.reading import check_pixels, read_image, read_image_header, read_image_size, read_small_grey
from foldseg.errors import FoldsegError

RNG = np.random.default_rng(0)


def random(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def save_npy(path: Path, numbers: np.ndarray) -> Path:
    np.save(path, numbers)
    return path


def save_tiff(path: Path, numbers: np.ndarray, **settings: Any) -> Path:
    tifffile.imwrite(path, numbers, **{"photometric": "minisblack"} | settings)
    return path


def save_dicom(path: Path, stored: np.ndarray, bits: int, photometric: str = "MONOCHROME2", **tags: Any) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = 1 if stored.ndim == 2 else stored.shape[2]
    data.PhotometricInterpretation = photometric
    if stored.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 8 * stored.itemsize, bits, bits - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelData = stored.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


# Pictures of one to five channels


def test_grey_stays_one_channel(tmp_path: Path) -> None:
    grey = random(6, 7)
    for suffix in ("png", "bmp", "tif", "webp"):
        path = tmp_path / f"a.{suffix}"
        lossless = {"lossless": True} if suffix == "webp" else {}
        PillowImage.fromarray(grey).save(path, **lossless)
        found = read_image(path, Pictures(channels=1))
        assert found.shape == (6, 7, 1) and np.array_equal(found[..., 0], grey), suffix
        assert np.array_equal(read_image(path), np.repeat(grey[..., None], 3, 2)), suffix
    assert cv2.imwrite(str(tmp_path / "a.jpg"), grey)
    assert read_image(tmp_path / "a.jpg", Pictures(channels=1)).shape == (6, 7, 1)


def test_colours_become_grey_if_one_channel_is_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    equal = np.repeat(random(5, 6)[..., None], 3, 2)
    assert cv2.imwrite(str(tmp_path / "equal.png"), equal)
    assert np.array_equal(read_image(tmp_path / "equal.png", Pictures(channels=1)), equal[..., :1])
    assert "become grey" not in caplog.text
    colours = random(5, 6, 3)
    assert cv2.imwrite(str(tmp_path / "colours.png"), colours[..., ::-1])
    found = read_image(tmp_path / "colours.png", Pictures(channels=1))
    assert np.array_equal(found[..., 0], cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))


@pytest.mark.parametrize("channels", [2, 4])
def test_a_png_has_the_channels_that_are_asked_for(tmp_path: Path, channels: int) -> None:
    numbers = random(5, 6, channels)
    PillowImage.fromarray(numbers, {2: "LA", 4: "RGBA"}[channels]).save(tmp_path / "a.png")
    assert read_image_header(tmp_path / "a.png").channels == channels
    assert np.array_equal(read_image(tmp_path / "a.png", Pictures(channels=channels)), numbers)
    shown = read_image(tmp_path / "a.png")
    assert np.array_equal(shown, numbers[..., :3] if channels == 4 else np.repeat(numbers[..., :1], 3, 2))


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("channels", [1, 2, 4, 5, 16])
def test_a_tiff_of_any_channels(tmp_path: Path, channels: int, planes: str) -> None:
    numbers = random(20, 30, channels)
    stored = numbers if planes == "contig" else np.moveaxis(numbers, 2, 0)
    path = save_tiff(tmp_path / "a.tif", stored, planarconfig=planes if channels > 1 else None)
    assert np.array_equal(read_image(path, Pictures(channels=channels)), numbers)
    assert read_image_size(path) == (20, 30)


def test_16_bits_of_four_channels_are_scaled_by_the_white_level(tmp_path: Path) -> None:
    deep = RNG.integers(0, 4096, (5, 6, 4), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), deep[..., [2, 1, 0, 3]])
    found = read_image(tmp_path / "a.png", Pictures(channels=4, white_level=4095))
    assert np.array_equal(found, (deep / 4095 * 255 + 0.5).astype(np.uint8))


def test_channels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), random(5, 6, 3))
    for channels in (2, 4, 5):
        with pytest.raises(FoldsegError, match=rf"a.png: has 3 channel\(s\); expected {channels} \(data.pictures"):
            read_image(tmp_path / "a.png", Pictures(channels=channels))
    path = save_npy(tmp_path / "b.npy", random(5, 6, 7))
    with pytest.raises(FoldsegError, match=r"b.npy: has 7 channel\(s\); expected 3"):
        read_image(path)


# Numbers


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32, np.float16, np.float32, np.float64, np.int64])
def test_numbers_of_any_type_are_scaled_by_the_range(tmp_path: Path, dtype: type) -> None:
    numbers = np.array([[0, 10, 20], [5, 15, 20]], dtype)
    expected = [[0, 128, 255], [64, 191, 255]]
    path = save_npy(tmp_path / "a.npy", numbers)
    assert read_image(path, Pictures(channels=1, value_range=(0, 20)))[..., 0].tolist() == expected
    if dtype not in (np.int64, np.float16):
        path = save_tiff(tmp_path / "a.tif", numbers)
        assert read_image(path, Pictures(channels=1, value_range=(0, 20)))[..., 0].tolist() == expected


def test_each_channel_may_have_its_range(tmp_path: Path) -> None:
    path = save_npy(tmp_path / "a.npy", np.array([[[0.0, -100.0], [1.0, 100.0]]], np.float32))
    found = read_image(path, Pictures(channels=2, value_range=((0, 1), (-100, 100))))
    assert found.tolist() == [[[0, 0], [255, 255]]]
    with pytest.raises(ValidationError, match="value_range has 2 pairs, and channels is 3; give one pair or 3"):
        Pictures(value_range=((0, 1), (0, 1)))
    with pytest.raises(ValidationError, match=r"value_range \[2, 1\] should be \[low, high\]"):
        Pictures(value_range=(2, 1))
    with pytest.raises(ValidationError, match="exclude each other"):
        Pictures(value_range=(0, 1), white_level=4095)


def test_numbers_whose_meaning_is_not_known_are_refused(tmp_path: Path) -> None:
    numbers = np.full((10, 10), -3.5, np.float32)
    numbers[0, 0], numbers[0, 1] = 7, np.nan
    for path in (save_npy(tmp_path / "a.npy", numbers), save_tiff(tmp_path / "a.tif", numbers)):
        with pytest.raises(FoldsegError, match=r"float32 from -3.5 to 7, .*data.pictures.value_range=\[LOW, HIGH\]"):
            read_image(path, Pictures(channels=1))
        with pytest.raises(FoldsegError, match=r"99% of them lie outside of data.pictures.value_range=\[\[0.0, 10.0"):
            read_image(path, Pictures(channels=1, value_range=(0, 10)))
        found = read_image(path, Pictures(channels=1, value_range=(-3.5, 7)))[..., 0]
        assert (found[0, 0], found[0, 1], found[5, 5]) == (255, 0, 0)  # a few that are not finite are black


def test_bytes_and_flags_in_npy_files_need_no_range(tmp_path: Path) -> None:
    numbers = random(4, 5, 3)
    assert np.array_equal(read_image(save_npy(tmp_path / "a.npy", numbers)), numbers)
    flags = np.array([[True, False]])
    assert read_image(save_npy(tmp_path / "b.npy", flags), Pictures(channels=1))[..., 0].tolist() == [[255, 0]]
    dark = save_npy(tmp_path / "c.npy", np.array([[0, 1]], np.uint8))
    assert read_image(dark, Pictures(channels=1, value_range=(0, 1)))[..., 0].tolist() == [[0, 255]]
    assert np.array_equal(read_image(save_npy(tmp_path / "f.npy", np.asfortranarray(numbers))), numbers)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (np.zeros((2, 3, 4, 5)), r"has the shape \(2, 3, 4, 5\); expected"),
        (np.zeros(7), r"has the shape \(7,\)"),
        (np.zeros((5, 64, 64)), "the channels should be last"),
        (np.zeros((4, 4), complex), "holds values of the type complex128"),
        (np.array([["a"]]), "holds values of the type <U1"),
        (np.zeros((0, 4)), "its header says 4x0 pixels"),
    ],
)
def test_npy_files_that_hold_no_image_are_refused(tmp_path: Path, numbers: np.ndarray, says: str) -> None:
    path = save_npy(tmp_path / "a.npy", numbers)
    for read in (read_image, read_image_size, check_pixels):
        with pytest.raises(FoldsegError, match=rf"a.npy: .*{says}"):
            read(path, Pictures(channels=1, value_range=(0, 1)))


def test_an_npy_file_that_is_cut_short_or_could_run_code_is_refused(tmp_path: Path) -> None:
    path = save_npy(tmp_path / "a.npy", random(20, 30))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FoldsegError, match=r"a.npy: is cut short"):
        read_image_size(path)
    np.save(path, np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(FoldsegError, match=r"a.npy: holds values of the type object"):
        read_image(path)
    path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': 5")
    with pytest.raises(FoldsegError, match=r"a.npy: is a damaged NPY file"):
        read_image(path)


# DICOM

GREY = Pictures(channels=1)


def test_a_dicom_of_12_bits_is_scaled_by_its_bits_its_window_or_the_range(tmp_path: Path) -> None:
    stored = np.array([[0, 2048, 4095]], np.uint16)
    assert read_image(save_dicom(tmp_path / "a.dcm", stored, 12), GREY)[..., 0].tolist() == [[0, 128, 255]]
    path = save_dicom(tmp_path / "b.dcm", stored, 12, WindowCenter=2048, WindowWidth=2)
    assert read_image(path, GREY)[..., 0].tolist() == [[0, 255, 255]]
    found = read_image(path, Pictures(channels=1, value_range=(0, 8190)))
    assert found[..., 0].tolist() == [[0, 64, 128]]
    assert read_image(path).shape == (1, 3, 3) and read_image_size(path) == (1, 3)


def test_slope_and_intercept_are_applied_before_the_window_or_the_range(tmp_path: Path) -> None:
    stored = np.array([[0, 1024, 2048]], np.int16)
    rescaled = {"RescaleSlope": 2, "RescaleIntercept": -1024}  # -1024, 1024, 3072
    path = save_dicom(tmp_path / "a.dcm", stored, 16, **rescaled, WindowCenter=1024.5, WindowWidth=4097)
    assert read_image(path, GREY)[..., 0].tolist() == [[0, 128, 255]]
    assert read_image(path, Pictures(channels=1, value_range=(-1024, 1024 * 3)))[..., 0].tolist() == [[0, 128, 255]]
    without = save_dicom(tmp_path / "b.dcm", stored, 16, **rescaled)
    with pytest.raises(FoldsegError, match=r"b.dcm: holds numbers of the type \w+ from -1024 to 3072, .*value_range"):
        read_image(without, GREY)


def test_monochrome1_is_inverted_and_colours_are_colours(tmp_path: Path) -> None:
    stored = np.array([[0, 100, 255]], np.uint8)
    path = save_dicom(tmp_path / "a.dcm", stored, 8, "MONOCHROME1")
    assert read_image(path, GREY)[..., 0].tolist() == [[255, 155, 0]]
    colours = random(4, 5, 3)
    assert np.array_equal(read_image(save_dicom(tmp_path / "b.dcm", colours, 8, "RGB")), colours)


def test_a_dicom_that_is_damaged_or_has_frames_is_refused(tmp_path: Path) -> None:
    path = save_dicom(tmp_path / "a.dcm", random(20, 30), 8)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FoldsegError, match=r"a.dcm: its pixels cannot be decoded"):
        read_image(path, GREY)
    path = save_dicom(tmp_path / "b.dcm", random(20, 30), 8, NumberOfFrames=4)
    with pytest.raises(FoldsegError, match=r"b.dcm: holds 4 pages or frames"):
        read_image(path, GREY)
    path = tmp_path / "c.dcm"
    path.write_bytes(b"no picture at all")
    with pytest.raises(FoldsegError, match=r"c.dcm: is "):
        read_image(path, GREY)
    data = pydicom.Dataset()
    data.PatientName = "none"
    data.save_as(path, implicit_vr=True, little_endian=True)
    with pytest.raises(FoldsegError, match=r"c.dcm: is a DICOM file without a picture"):
        read_image(path, GREY)


def test_packages_that_are_not_installed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dicom = save_dicom(tmp_path / "a.dcm", random(4, 5), 8)
    tiff = save_tiff(tmp_path / "a.tif", random(20, 30, 5), planarconfig="contig")
    for package in ("pydicom", "tifffile"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(FoldsegError, match=r"a.dcm: .*needs pydicom: pip install 'foldseg\[dicom\]'"):
        read_image(dicom, GREY)
    with pytest.raises(FoldsegError, match=r"a.tif: has 5 channel\(s\) of 8 bits, .*pip install 'foldseg\[tiff\]'"):
        read_image(tiff, Pictures(channels=5))


# What is done with them


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("size", [(7, 9), (20, 30), (45, 33)])
def test_images_of_any_channels_are_resized_and_padded_channel_by_channel(channels: int, size: tuple[int, int]) -> None:
    image = random(20, 30, channels)
    resized, padded = resize_channels(image, size), pad_channels(image, (1, 2, 3, 4))
    assert resized.shape == (*size, channels) and padded.shape == (23, 37, channels)
    for channel in range(channels):
        alone = image[..., channel : channel + 1]
        assert np.array_equal(resize_channels(alone, size)[..., 0], resized[..., channel])
        assert np.array_equal(pad_channels(alone, (1, 2, 3, 4))[..., 0], padded[..., channel])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_of_any_channels_are_drawn_and_compared(tmp_path: Path, channels: int) -> None:
    image = random(20, 30, channels)
    assert as_rgb(image).shape == (20, 30, 3) and as_grey(image).shape == (20, 30)
    path = save_npy(tmp_path / "a.npy", image)
    assert read_small_grey(path, 8, Pictures(channels=channels)).shape == (20, 30)


def test_statistics_are_those_of_all_pixels(tmp_path: Path) -> None:
    images = [random(20, 30, 2), random(5, 6, 2) // 4, np.full((4, 4, 2), 255, np.uint8)]
    paths = [save_npy(tmp_path / f"{index}.npy", image) for index, image in enumerate(images)]
    mean, deviation = measure_statistics(paths, Pictures(channels=2))
    pixels = np.concatenate([image.reshape(-1, 2) for image in images]) / 255
    assert np.allclose(mean, pixels.mean(0), atol=1e-5) and np.allclose(deviation, pixels.std(0), atol=1e-5)
    constant = save_npy(tmp_path / "c.npy", np.full((4, 4), 100, np.uint8))
    assert measure_statistics([constant], GREY) == ((round(100 / 255, 6),), (round(1 / 255, 6),))
