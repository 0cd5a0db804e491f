"""Predict any pictures into a folder: as masks, colours, overlays or probabilities."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.reading import read_image
from foldseg.deploy.ahead import ahead, threads
from foldseg.deploy.drawing import overlay, with_legend
from foldseg.deploy.sources import Source
from foldseg.errors import FoldsegError
from foldseg.files import read_record, remove_partials, write_json
from foldseg.inference.store import PredictionStore, StoreFacts
from foldseg.outputs import is_within
from foldseg.submission.label_png import write_png

logger = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""What is taken for a picture in a folder; a file that is named may have any suffix."""

PROBABILITIES = "probabilities"
DESCRIPTION = "prediction.json"
_THREADS = 2  # and as many pictures are read ahead, and wait to be written
_SHOWN = 20  # problems

Predicted = tuple[str, Image, Any]
"""Name, picture, and its class indices or probabilities."""


@dataclass(frozen=True)
class Picture:
    """A file to predict, and the name of its result: its own, without suffix, below the folder that was given."""

    path: Path
    name: str


def find_pictures(paths: Sequence[Path], out: Path) -> list[Picture]:
    """Return files, and what folders hold at any depth, by name; without `out` and what is hidden.

    FoldsegError for a path that is missing, a folder without pictures, and two files whose results would have one name.
    """
    if not paths:
        raise FoldsegError("no picture or folder is given")
    found: dict[str, Path] = {}
    for path in paths:
        if not path.is_dir() and is_within(path, out):
            raise FoldsegError(
                f"{path}: lies in {out}, where its result would take its place; give --out another folder"
            )
        for picture in _below(path, out) if path.is_dir() else [Picture(path, path.stem)]:
            if not picture.path.is_file():
                raise FoldsegError(f"{picture.path}: no such file or folder")
            other = found.setdefault(picture.name, picture.path)
            if other.absolute() != picture.path.absolute():
                raise FoldsegError(f"{other} and {picture.path} would both be predicted into {out / picture.name}")
    return [Picture(path, name) for name, path in sorted(found.items())]


def _below(folder: Path, out: Path) -> list[Picture]:
    if is_within(folder, out):
        raise FoldsegError(f"{out}: is where the pictures are; give --out another folder")
    files = [file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and not _is_hidden(file, folder)]
    files = [file for file in files if not file.resolve().is_relative_to(out.resolve())]
    if not files:
        raise FoldsegError(f"{folder}: holds no pictures ({', '.join(SUFFIXES)})")
    return [Picture(file, file.relative_to(folder).with_suffix("").as_posix()) for file in files]


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def predict_images(source: Source, pictures: Sequence[Picture], out: Path, form: str, alpha: float = 0.5) -> None:
    """Predict pictures into the folder `out`, one file each; goes on where an earlier call stopped.

    `form`: one of FORMS. `alpha`: share of colour in an overlay. What is there, and no older than its picture, stays.
    FoldsegError before anything is done if `out` holds something else than such predictions; and after all others are
    done, for pictures that cannot be read.
    """
    facts = source.facts | {"form": form, "classes": source.labels.names}
    facts |= {"alpha": alpha} if form == "overlay" else {}
    facts |= {"pictures": [picture.name for picture in pictures]} if form == PROBABILITIES else {}
    _begin(out, facts)
    write = _into_store(out, facts) if form == PROBABILITIES else _into_pngs(out, source.labels, form, alpha)
    todo = [p for p in pictures if not _is_done(out / f"{p.name}{_suffix(form)}", p.path)]
    logger.info("%s: %d of %d pictures are to be predicted", out, len(todo), len(pictures))
    problems: list[str] = []
    with threads(_THREADS) as pool:
        read = ahead(pool, _read, todo, _THREADS)
        written = ahead(pool, write, _predicted(source, form, read, problems), _THREADS)
        for _ in tqdm(written, total=len(todo), desc=out.name, unit="image", leave=False, disable=None):
            pass
    if problems:
        shown = [*problems[:_SHOWN], f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else problems
        raise FoldsegError(
            f"{len(problems)} of {len(pictures)} pictures could not be predicted, the others are in {out}:\n  "
            + "\n  ".join(shown)
        )


def _read(picture: Picture) -> tuple[Picture, Image | FoldsegError]:
    try:
        return picture, read_image(picture.path, upright=True)
    except FoldsegError as error:
        return picture, error


def _predicted(
    source: Source, form: str, read: Iterable[tuple[Picture, Image | FoldsegError]], problems: list[str]
) -> Iterator[Predicted]:
    """Predict what could be read; what is wrong with the others is added to `problems`."""
    predict = source.probabilities if form == PROBABILITIES else source.mask
    for picture, image in read:
        if isinstance(image, FoldsegError):
            problems.append(str(image))
            continue
        try:
            yield picture.name, image, predict(image)
        except FoldsegError as error:
            problems.append(f"{picture.path}: {error}")


def _into_pngs(out: Path, labels: LabelSet, form: str, alpha: float) -> Callable[[Predicted], None]:
    def write(predicted: Predicted) -> None:
        name, image, mask = predicted
        write_png(out / f"{name}.png", _DRAWN[form](image, mask, labels, alpha))

    return write


def _into_store(out: Path, facts: dict[str, Any]) -> Callable[[Predicted], None]:
    store = PredictionStore(out)
    weights, ids = " ".join(facts["weights"]), facts["pictures"]
    store.begin(
        StoreFacts(facts["source"], "pictures", -1, facts["classes"], weights, facts["view"], facts["tta"], ids)
    )

    def write(predicted: Predicted) -> None:
        name, _, planes = predicted
        store.write(name, planes)

    return write


def _begin(out: Path, facts: dict[str, Any]) -> None:
    """Describe the folder in prediction.json. FoldsegError when it holds anything else."""
    described = out / DESCRIPTION
    if described.is_file():
        old = read_record(described, {})
        if other := [key for key in facts | old if old.get(key) != facts.get(key)]:
            raise FoldsegError(
                f"{out}: holds predictions of other {', '.join(other)}, see {DESCRIPTION} there; "
                "give --out another folder, or remove this one"
            )
        for folder in {file.parent for file in out.rglob("*.partial")}:
            remove_partials(folder)
    elif (out.exists() and not out.is_dir()) or any(not file.name.startswith(".") for file in out.glob("*")):
        raise FoldsegError(f"{out}: is no empty folder, and no {DESCRIPTION} says that its files come from here")
    else:
        write_json(described, facts)


def _is_done(result: Path, picture: Path) -> bool:
    return result.is_file() and result.stat().st_mtime >= picture.stat().st_mtime


def _suffix(form: str) -> str:
    return ".prob" if form == PROBABILITIES else ".png"


def _masks(_: Image, mask: Mask, labels: LabelSet, alpha: float) -> Image:
    """Raw ids (H, W): what `submission/label_png.py` hands in."""
    return labels.decode(mask)


def _colours(_: Image, mask: Mask, labels: LabelSet, alpha: float) -> Image:
    return _bgr(labels.colourise(mask))


def _overlay(image: Image, mask: Mask, labels: LabelSet, alpha: float) -> Image:
    return _bgr(with_legend(overlay(image, mask, labels, alpha), labels))


def _bgr(picture: Image) -> Image:
    """RGB -> BGR, which OpenCV writes."""
    return picture[..., ::-1]


_DRAWN: dict[str, Callable[[Image, Mask, LabelSet, float], Image]] = {
    "masks": _masks,
    "colours": _colours,
    "overlay": _overlay,
}
"""Form -> a function of the picture, its class indices, the classes and alpha to what is written as PNG."""

FORMS = (*_DRAWN, PROBABILITIES)
