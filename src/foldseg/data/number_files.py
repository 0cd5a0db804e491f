"""Files of numbers instead of pictures: NPY, and the medical format DICOM (with the optional package pydicom)."""

import io
import math
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from foldseg.config.schema import Pictures
from foldseg.errors import FoldsegError

NPY_START = b"\x93NUMPY"
_DICOM_MARK = b"DICM"
_PREAMBLE = 128
"""Bytes of a DICOM file before its mark."""
_NAMES = {"u": "unsigned", "b": "unsigned", "i": "signed", "f": "float"}
"""numpy's letter of a type -> what a header calls it."""


class Layout(NamedTuple):
    """What a file of numbers says about its picture."""

    height: int
    width: int
    channels: int
    bits: int
    numbers: str
    pages: int = 1


def is_dicom(path: Path, stream: BinaryIO) -> bool:
    """Return whether a file is a DICOM file, by its mark. Old files have no mark; their suffix says it."""
    stream.seek(_PREAMBLE)
    mark = stream.read(len(_DICOM_MARK))
    stream.seek(0)
    return mark == _DICOM_MARK or path.suffix.lower() in (".dcm", ".dicom")


def read_npy_layout(path: Path, stream: BinaryIO) -> Layout:
    """Return what the header of an NPY file says. FoldsegError if it holds no picture or is cut short."""
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
    except ValueError as error:
        raise FoldsegError(f"{path}: is a damaged NPY file: {str(error).splitlines()[0]}") from error
    if dtype.kind not in _NAMES:
        raise FoldsegError(f"{path}: holds values of the type {dtype}; expected whole numbers or floats")
    if len(shape) not in (2, 3):
        raise FoldsegError(f"{path}: has the shape {shape}; expected (height, width) or (height, width, channels)")
    height, width, channels = (*shape, 1)[:3]
    if channels > 16 and height <= 16:
        raise FoldsegError(
            f"{path}: has the shape {shape}; expected (height, width, channels): the channels should be last"
        )
    start = stream.tell()
    if stream.seek(0, io.SEEK_END) - start < math.prod(shape) * dtype.itemsize:
        raise FoldsegError(f"{path}: is cut short (its numbers are missing); copy or download it again")
    return Layout(height, width, channels, 8 * dtype.itemsize, _NAMES[dtype.kind])


def read_dicom_layout(path: Path, stream: BinaryIO) -> Layout:
    """Return what the header of a DICOM file says. FoldsegError if it is damaged or pydicom is not installed."""
    header = _read_dicom(path, stream, pixels=False)
    try:
        return Layout(
            int(header.Rows),
            int(header.Columns),
            int(header.SamplesPerPixel),
            int(header.BitsStored),
            "signed" if int(header.PixelRepresentation) else "unsigned",
            int(header.get("NumberOfFrames", 1) or 1),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise FoldsegError(f"{path}: is a DICOM file without a picture, or damaged ({error})") from error


def decode_npy(path: Path, content: bytes) -> NDArray[Any]:
    """Return the numbers of an NPY file, (H, W, C)."""
    try:
        return np.atleast_3d(np.load(io.BytesIO(content), allow_pickle=False))
    except ValueError as error:
        raise FoldsegError(f"{path}: is a damaged NPY file: {str(error).splitlines()[0]}") from error


def decode_dicom(path: Path, content: bytes, pictures: Pictures) -> tuple[NDArray[Any], bool]:
    """Return the numbers (H, W, C) of a DICOM file, and whether small ones are bright (MONOCHROME1).

    Its rescale slope and intercept are applied. Numbers are already 0..255 uint8 if the file says what is black and
    white, and `pictures` does not: by its window, or if they are unsigned and not rescaled, by its bits.
    """
    dataset = _read_dicom(path, io.BytesIO(content), pixels=True)
    from pydicom.pixels.processing import apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    try:
        stored = np.asarray(pixel_array(dataset))
        is_colour = int(dataset.SamplesPerPixel) > 1
        numbers = stored if is_colour else np.asarray(apply_modality_lut(stored, dataset))
    except MemoryError:
        raise
    except Exception as error:  # pydicom and the decoders that it calls raise many kinds of errors
        raise FoldsegError(f"{path}: its pixels cannot be decoded: {' '.join(str(error).split())}") from error
    is_decided = pictures.value_range is not None or pictures.white_level is not None
    if not is_decided and not is_colour:
        if "WindowCenter" in dataset and "WindowWidth" in dataset:
            numbers = _apply_window(numbers, dataset)
        elif int(dataset.PixelRepresentation) == 0 and np.array_equal(numbers, stored):
            numbers = _to_bytes(stored.astype(np.float32) / ((1 << int(dataset.BitsStored)) - 1))
    return np.atleast_3d(numbers), str(dataset.PhotometricInterpretation) == "MONOCHROME1"


def _apply_window(numbers: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Map the first window of a DICOM file to 0..255 (DICOM PS3.3, C.11.2.1.2)."""
    center, width = (float(np.atleast_1d(dataset[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    function = str(dataset.get("VOILUTFunction", "LINEAR") or "LINEAR").upper()
    values = numbers.astype(np.float32)
    if function == "SIGMOID":
        return _to_bytes(1 / (1 + np.exp(-4 * (values - center) / width)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    return _to_bytes((values - center) / max(width, 1e-6) + 0.5)


def _to_bytes(shares: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return round(255 x) of numbers x, of which those outside of 0..1 become 0 or 255."""
    return np.asarray((shares * 255 + 0.5).clip(0, 255), np.uint8)


def _read_dicom(path: Path, stream: BinaryIO, *, pixels: bool) -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise FoldsegError(f"{path}: is a DICOM file, which needs pydicom: pip install 'foldseg[dicom]'") from error
    try:
        return pydicom.dcmread(stream, force=True, stop_before_pixels=not pixels)
    except Exception as error:  # pydicom raises many kinds of errors on damaged files
        raise FoldsegError(f"{path}: is no DICOM file, or a damaged one ({' '.join(str(error).split())})") from error
