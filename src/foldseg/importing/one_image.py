"""One image of an import: its mask drawn or checked, its pixels counted, its fit measured."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.headers import Header
from foldseg.data.labels import Mask, RawIds
from foldseg.data.orientation import make_upright
from foldseg.data.reading import describe_size_difference, read_image_header, read_small_grey
from foldseg.errors import FoldsegError
from foldseg.files import write_bytes
from foldseg.importing.annotations import AnnotatedImage, ImportSettings
from foldseg.importing.draw import BACKGROUND, VOID, Painting, paint, paint_bits
from foldseg.importing.mask_fit import WIDTH, PictureEdges
from foldseg.importing.plan import ClassPlan
from foldseg.importing.raw_masks import read_raw_colours, read_raw_ids, write_mask
from foldseg.importing.remarks import Remarks
from foldseg.importing.shapes import PolygonRule, Size

MASKS, IMAGES = "masks", "images"
_PLAIN = ("JPEG", "PNG")
_JPEG_START = b"\xff\xd8"


@dataclass(frozen=True, eq=False)
class ImageTask:
    """An image, the id that it gets, and where its files are written."""

    id: str
    image: AnnotatedImage
    folder: Path


@dataclass(eq=False)
class ImageOutcome:
    """What an image came to."""

    task: ImageTask
    file: Path | None = None
    """The image file."""
    mask: Path | None = None
    pixels: dict[int, int] = field(default_factory=dict)
    """Value of the mask -> pixels."""
    painting: Painting | None = None
    """Counts of shapes, without the mask. None if nothing was drawn."""
    fit: float | None = None
    """See `mask_fit`. None: it could not be told."""
    error: FoldsegError | None = None


@dataclass(frozen=True, eq=False)
class ImageImporter:
    """Makes the masks of images, one at a time, in any thread."""

    plan: ClassPlan
    settings: ImportSettings
    fill: PolygonRule
    remarks: Remarks

    def __call__(self, task: ImageTask) -> ImageOutcome:
        """Draw or check a mask. What is wrong with the image becomes the outcome's error."""
        outcome = ImageOutcome(task)
        try:
            outcome.file = self._find_file(task)
            headers = [read_image_header(file) for file in task.image.channels or (outcome.file,)]
            if task.image.is_annotated:
                mask = self._make_mask(outcome, headers[0])
                self._count(outcome, mask)
                self._measure_fit(outcome, mask, headers[0])
            if task.image.channels:
                outcome.file = _join_channels(task, headers)
        except FoldsegError as error:
            outcome.error = error
        except OSError as error:
            outcome.error = FoldsegError(f"{task.image.entry}: {error.strerror or error} ({error.filename or ''})")
        except (cv2.error, MemoryError) as error:
            outcome.error = FoldsegError(f"{task.image.entry}: cannot be drawn ({error})")
        return outcome

    def _find_file(self, task: ImageTask) -> Path:
        """Return the image file, which is written first if the annotations hold its only copy."""
        if task.image.file is not None:
            return task.image.file
        assert task.image.read_content is not None, "images without a file are left out before"
        content = task.image.read_content()
        suffix = ".jpg" if content.startswith(_JPEG_START) else Path(task.image.name).suffix.lower() or ".png"
        path = task.folder / IMAGES / f"{task.id}{suffix}"
        write_bytes(path, content)
        return path

    def _make_mask(self, outcome: ImageOutcome, header: Header) -> RawIds:
        """Return the values of the image's mask, and write it unless it stays where it is."""
        image, file = outcome.task.image, outcome.file
        assert file is not None
        if self.plan.kind == "shapes":
            mask: RawIds = self._draw(outcome, file, header)
        else:
            assert image.mask is not None
            is_ids = self.plan.kind == "ids"
            mask, mask_header = read_raw_ids(image.mask) if is_ids else self._read_colours(image.mask)
            sizes = mask_header.size(True), header.size(True)
            if sizes[0] != sizes[1]:
                raise FoldsegError(describe_size_difference(image.mask, sizes[0], file, sizes[1], header.orientation))
            if is_ids:
                outcome.mask = image.mask
                return mask
        outcome.mask = outcome.task.folder / MASKS / f"{outcome.task.id}.png"
        write_mask(outcome.mask, np.asarray(mask, np.uint8), self.plan.palette)
        return mask

    def _read_colours(self, path: Path) -> tuple[Mask, Header]:
        """Return the ids of a mask of colours. Those of classes are their places."""
        colours = [item.colour or (0, 0, 0) for item in self.plan.classes]
        mask, header = read_raw_colours(path, [*colours, *self.plan.void_colours])
        mask[mask >= len(colours)] = VOID
        return mask, header

    def _draw(self, outcome: ImageOutcome, file: Path, header: Header) -> Mask:
        """Draw the shapes of an image, at the size that the annotations state, and turn the mask upright."""
        image = outcome.task.image
        assert image.read_shapes is not None
        size, is_stored = _size_to_draw(image, file, header)
        shapes = image.read_shapes()
        if self.settings.overlapping:
            painting = paint_bits(shapes, self.plan.bits_to_draw, size, self.fill, self.settings.line_width)
        else:
            unlabelled = VOID if self.settings.unlabelled == "void" else BACKGROUND
            ids = self.plan.ids_to_draw
            painting = paint(shapes, ids, size, self.fill, self.settings.line_width, unlabelled)
        if painting.empty:
            reason = "shapes cover no pixel of their image and are skipped (lines need --line-width)"
            self.remarks.add(reason, painting.empty[0], len(painting.empty))
        mask = painting.mask
        if is_stored:
            self.remarks.add(
                "images are turned by their EXIF; their shapes were drawn unturned, and are turned", str(file)
            )
            mask = np.ascontiguousarray(make_upright(mask, header.orientation))
        outcome.painting = replace(painting, mask=np.empty(0, np.uint8))
        return mask

    def _count(self, outcome: ImageOutcome, mask: RawIds) -> None:
        counts = np.bincount(mask.ravel())
        outcome.pixels = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
        unknown = self.plan.unknown_values(list(outcome.pixels)) if self.plan.classes else []
        if unknown:
            known = sorted({*self.plan.holders, *self.plan.void_ids, *self.plan.background_ids})
            raise FoldsegError(f"{outcome.mask}: holds unknown ids {unknown[:10]}; known are {_shorten_ids(known)}")

    def _measure_fit(self, outcome: ImageOutcome, mask: RawIds, header: Header) -> None:
        """Measure the fit. It needs the image's pixels, so an image that is damaged is noticed here."""
        assert outcome.file is not None
        try:
            grey = read_small_grey(outcome.file, WIDTH)
        except FoldsegError as error:
            if header.kind in _PLAIN and header.bits <= 8:
                raise  # it is damaged; other images may need settings that say how they are read
            self.remarks.add("images could not be compared with their masks", str(error))
            return
        outcome.fit = PictureEdges.of(grey).fit(mask.astype(np.uint8))


def _shorten_ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids)) if len(ids) < 20 else f"{ids[0]} to {ids[-1]}"


def _size_to_draw(image: AnnotatedImage, file: Path, header: Header) -> tuple[Size, bool]:
    """Return the size at which shapes are drawn, and whether that is the stored one of an image that EXIF turns."""
    upright, stored = header.size(True), header.size(False)
    if image.size is None or image.size == upright:
        return upright, False
    if image.size == stored:
        return stored, True
    height, width = image.size
    raise FoldsegError(
        f"{image.entry}: says that its image is {width}x{height} (width x height), and {file} is "
        f"{upright[1]}x{upright[0]}; use the image that was annotated, or annotate this one"
    )


def _join_channels(task: ImageTask, headers: Sequence[Header]) -> Path:
    """Write the files of an image's channels as one: a PNG of three channels, otherwise an NPY (H, W, channels)."""
    sizes = {header.size(True) for header in headers}
    if len(sizes) > 1:
        raise FoldsegError(f"{task.image.channels[0]}: the files of its channels have several sizes, {sorted(sizes)}")
    planes: list[NDArray[Any]] = [read_raw_ids(file)[0] for file in task.image.channels]
    if len({plane.dtype for plane in planes}) > 1:
        planes = [plane.astype(np.uint16) for plane in planes]
    joined = np.stack(planes, 2)
    is_rgb = joined.shape[2] == 3 and joined.dtype == np.uint8
    path = task.folder / IMAGES / f"{task.id}{'.png' if is_rgb else '.npy'}"
    stream = io.BytesIO()
    if is_rgb:
        stream.write(cv2.imencode(".png", joined[..., ::-1])[1].tobytes())
    else:
        np.save(stream, joined, allow_pickle=False)
    write_bytes(path, stream.getvalue())
    return path
