"""Predicts the test images of another folder with a finished ensemble, into a submission, within a time limit.

A contest kernel runs a notebook again on a hidden test set. Nothing is known of it but its layout. So the images are
found by the settings of the data with another root, each is predicted once, and the submission is written and read
back. No prediction is stored.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import numpy as np
from tqdm import tqdm

from foldseg.config import Ensemble, load_data, load_ensemble
from foldseg.config.schema import Pictures
from foldseg.data.datasets import DataSet
from foldseg.data.labels import Image, Mask
from foldseg.data.own_ids import make_safe_ids
from foldseg.data.reading import read_image, read_image_size
from foldseg.data.rle import Rle, encode_mask
from foldseg.deploy.ensemble_source import EnsembleSource, open_ensemble_source
from foldseg.deploy.interface import PredictionOptions, build_memory_error
from foldseg.deploy.picture_files import find_pictures
from foldseg.deploy.reductions import list_reductions, predict_reduced
from foldseg.deploy.threads import map_ahead, thread_pool
from foldseg.deploy.time_limit import Watch, format_duration
from foldseg.ensemble.made_from import find_any_run
from foldseg.ensemble.prediction import Prediction
from foldseg.errors import FoldsegError
from foldseg.files import scratch
from foldseg.resources import is_out_of_memory
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.submission.formats import FORMATS, check_submission
from foldseg.submission.interface import KnownImages

logger = logging.getLogger(__name__)

_AHEAD = 2  # so many images are read ahead
_SETTINGS = ("data", "submission")
"""Settings of the data and of the format may differ from those of the ensemble."""


@dataclass(frozen=True)
class TestImages:
    """The images to predict: id -> file, sorted by id, and how the files are read."""

    files: dict[str, Path]
    pictures: Pictures


def predict_hidden_test(
    path: Path,
    out: Path,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    limit: float | None = None,
    started: float | None = None,
    device: str | None = None,
) -> str:
    """Predict test images with the finished submission `path`, and write the submission `out`. Return a report.

    `overrides`: settings `data...` and `submission...` that differ, usually `data.root=FOLDER`. `folder`: a folder
    whose pictures are predicted instead; their ids are their names, `a__b` for `b` in the folder `a`. `limit`: seconds,
    from `started` (a time in seconds since 1970) or from now on.

    FoldsegError if there are no images, if an image cannot be read, and if the limit cannot be kept. Then nothing is
    written.
    """
    data_overrides, config = _apply_overrides(path, overrides)
    images = _find_images(path, config, data_overrides, folder, out)
    settings = config.submission
    kind = FORMATS[type(settings)]
    if Path(kind.file_name).suffix != out.suffix or (out.exists() and not kind.recognises(out)):
        raise FoldsegError(
            f"{out}: should be a new file or folder like {kind.file_name}, for submission {settings.kind}"
        )
    source = open_ensemble_source(path, PredictionOptions(device=device))
    kind.check(settings, source.labels, KnownImages(images.files))
    sizes = {name: read_image_size(file, images.pictures) for name, file in images.files.items()}
    watch = Watch(list_reductions(source), [height * width for height, width in sizes.values()], limit, started)
    with scratch(out.parent / f".{out.name}.new") as new:
        written = new / kind.file_name
        known = KnownImages(images.files, sizes)
        kind.write(settings, written, _predict(source, images, watch), source.labels, known)
        check_submission(written, sizes, source.labels, settings, known)
        if out.is_dir():
            rmtree(out)
        written.replace(out)
    return _report(out, watch)


def _apply_overrides(path: Path, overrides: Sequence[str]) -> tuple[list[str], Ensemble]:
    """Return the overrides of the data, and the settings of a submission with the other ones."""
    submission = SubmissionFolder.open(path)
    names = [text.partition("=")[0].split(".")[0] for text in overrides]
    for name, text in zip(names, overrides, strict=True):
        if name not in _SETTINGS:
            raise FoldsegError(f"{text}: only settings of data and submission may differ from those of {path}")
    data = [text for name, text in zip(names, overrides, strict=True) if name == "data"]
    other = [text for name, text in zip(names, overrides, strict=True) if name == "submission"]
    return data, load_ensemble(submission.config, other)


def _find_images(path: Path, config: Ensemble, overrides: Sequence[str], folder: Path | None, out: Path) -> TestImages:
    """Find the test images by the settings of the data, or all pictures of a folder."""
    run = find_any_run(config)
    settings = load_data(run.config, overrides).only_test()
    if folder is not None:
        pictures = find_pictures([folder], out)
        ids = make_safe_ids((picture.name for picture in pictures), str(folder))
        return TestImages({ids[picture.name]: picture.path for picture in pictures}, settings.pictures)
    data = DataSet(settings)
    names = sorted(data.test["id"])
    if not names:
        raise FoldsegError(
            f"{settings.root}: has no test images; give data.root=FOLDER, or a folder of pictures: --images"
        )
    return TestImages({name: data.images[name] for name in names}, settings.pictures)


def _predict(source: EnsembleSource, images: TestImages, watch: Watch) -> Iterator[tuple[str, Mask | list[Rle]]]:
    """Yield what a submission is written from: each id with its class indices, or with the RLE of each class."""

    def read(item: tuple[str, Path]) -> tuple[str, Image]:
        return item[0], read_image(item[1], images.pictures)

    with thread_pool(_AHEAD) as pool:
        pictures = map_ahead(pool, read, images.files.items(), _AHEAD)
        for name, picture in tqdm(
            pictures, total=len(images.files), desc="test", unit="image", leave=False, disable=None
        ):
            try:
                prediction, seconds = predict_reduced(source, watch.choose(), name, picture)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                raise build_memory_error(picture, "that of the members") from error
            watch.add(seconds)
            yield name, _form(prediction)


def _form(prediction: Prediction) -> Mask | list[Rle]:
    """Return class indices or class bits or, if a step lets exclusive classes overlap, the RLE of each class."""
    if prediction.masks is None:
        return prediction.labels
    return [encode_mask(np.asarray(mask)) for mask in prediction.masks]


def _report(out: Path, watch: Watch) -> str:
    """Return a line on what was written, and a line for each reduction that images were predicted with."""
    total = sum(watch.images)
    lines = [f"{out}: {total} images in {format_duration(watch.elapsed)}, read back and valid"]
    left_out: list[str] = []
    for reduction, number in zip(watch.reductions, watch.images, strict=True):
        left_out += [reduction.left_out] if reduction.left_out else []
        if number and left_out:
            lines.append(f"{number} of them without {', '.join(left_out)}, to keep the time limit")
    return "\n".join(lines)
