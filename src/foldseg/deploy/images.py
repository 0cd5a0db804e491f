"""Predict any pictures into a folder, in one of the forms of `deploy/forms.py`."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from foldseg.config.schema import Pictures
from foldseg.data.labels import Image, LabelSet
from foldseg.data.reading import AS_SHOWN, read_image
from foldseg.deploy.forms import FORMS, Form, PredictedPicture, Writer, WriterContext
from foldseg.deploy.interface import Source, build_memory_error
from foldseg.deploy.output_folder import OutputFolder, hash_pictures
from foldseg.deploy.picture_files import PictureFile
from foldseg.deploy.threads import map_ahead, thread_pool
from foldseg.errors import FoldsegError
from foldseg.resources import is_out_of_memory

logger = logging.getLogger(__name__)

_THREADS = 2  # so many pictures are read ahead, and so many wait to be written
_SHOWN_PROBLEMS = 20


def predict_images(
    source: Source,
    pictures: Sequence[PictureFile],
    out: Path,
    form: str,
    alpha: float = 0.5,
    white_level: int | None = None,
) -> None:
    """Predict pictures into the folder `out`, one file each. Go on where an earlier call stopped.

    `form`: a name of FORMS. `alpha`: share of colour in an overlay. `white_level`: of 16-bit pictures, see
    `config.schema.Pictures`; None for the source's own. A result stays if its picture still has the same content,
    whatever its times.

    FoldsegError before anything is done if `out` holds something else than such predictions. FoldsegError at the end,
    when all other pictures are done, if some cannot be read.
    """
    chosen_form, hashes = FORMS[form], hash_pictures(pictures)
    settings = source.provenance | {"form": form, "classes": source.labels.names}
    settings["labels"] = _describe_labels(source.labels)
    if chosen_form.uses_alpha:
        settings["alpha"] = alpha
    reading = source.reading
    if white_level is not None:
        reading = reading.model_copy(update={"white_level": white_level, "value_range": None})
    if reading != AS_SHOWN:
        settings["reading"] = reading.model_dump(mode="json", exclude_defaults=True)
    if chosen_form.needs_all_names:
        settings["pictures"] = [picture.name for picture in pictures]
    folder = OutputFolder(out, chosen_form.suffix)
    folder.begin(settings, pictures, hashes)
    write = chosen_form.open_writer(WriterContext(out, source.labels, alpha, settings, hashes))

    # A picture that could not be hashed is tried as well: reading it raises the error that names its fault
    todo = [picture for picture in pictures if not hashes[picture.name] or not folder.result_of(picture.name).is_file()]
    logger.info("%s: %d of %d pictures are to be predicted", out, len(todo), len(pictures))
    problems = _predict_all(source, chosen_form, todo, reading, write, out.name)
    for picture in folder.remove_replaced(todo, hashes):
        problems.append(f"{picture.path}: changed while it was predicted; give the same command again")
    if problems:
        raise FoldsegError(
            f"{len(problems)} of {len(pictures)} pictures could not be predicted, the others are in {out}:\n  "
            + "\n  ".join(_shorten_problems(problems))
        )


def _predict_all(
    source: Source, form: Form, todo: Sequence[PictureFile], reading: Pictures, write: Writer, title: str
) -> list[str]:
    """Read pictures and write results in threads, while this thread predicts. Return what went wrong."""
    problems: list[str] = []
    with thread_pool(_THREADS) as pool:
        images = map_ahead(pool, partial(_read, reading=reading), todo, _THREADS)
        predicted = _predict(source, form, images, problems)
        written = map_ahead(pool, partial(_write, write, problems), predicted, _THREADS)
        for _ in tqdm(written, total=len(todo), desc=title, unit="image", leave=False, disable=None):
            pass
    return problems


def _read(picture: PictureFile, reading: Pictures) -> tuple[PictureFile, Image | FoldsegError]:
    """Return a picture's image, or the error that says why it cannot be read."""
    try:
        return picture, read_image(picture.path, reading)
    except FoldsegError as error:
        return picture, error


def _predict(
    source: Source, form: Form, images: Iterable[tuple[PictureFile, Image | FoldsegError]], problems: list[str]
) -> Iterator[PredictedPicture]:
    """Predict the images that could be read; add to `problems` what is wrong with the others."""
    for picture, image in images:
        if isinstance(image, FoldsegError):
            problems.append(str(image))
            continue
        try:
            yield PredictedPicture(picture.name, image, form.predict(source, image))
        except FoldsegError as error:
            problems.append(f"{picture.path}: {error}")
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            problems.append(f"{picture.path}: {build_memory_error(image, source.provenance['view'])}")


def _write(write: Writer, problems: list[str], picture: PredictedPicture) -> None:
    """Write one picture. Add to `problems` that there is not enough memory to draw it."""
    try:
        write(picture)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        problems.append(f"{picture.name}: there is not enough memory to draw or write its result")


def _shorten_problems(problems: Sequence[str]) -> list[str]:
    if len(problems) <= _SHOWN_PROBLEMS:
        return list(problems)
    return [*problems[:_SHOWN_PROBLEMS], f"and {len(problems) - _SHOWN_PROBLEMS} more"]


def _describe_labels(labels: LabelSet) -> dict[str, Any]:
    """Return what decides how classes are written: their raw ids and colours."""
    return labels.definition | {f"(drawn) {label.name}": list(label.colour) for label in labels.classes}
