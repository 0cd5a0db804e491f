"""Predict any pictures into a folder: as masks, colours, overlays or probabilities."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from foldseg.config.old_spellings import translate
from foldseg.config.schema import Pictures
from foldseg.data.hashes import format_count, hash_code, hash_readable_files
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.listing import PICTURES, list_files
from foldseg.data.reading import read_image
from foldseg.deploy.ahead import ahead, threads
from foldseg.deploy.drawing import overlay, with_legend
from foldseg.deploy.interface import Source, no_room_for
from foldseg.errors import FoldsegError
from foldseg.files import read_record, remove_partials, write_json
from foldseg.inference.store import PredictionStore, StoreFacts
from foldseg.outputs import is_within
from foldseg.resources import is_out_of_memory
from foldseg.submission.label_png import write_png

logger = logging.getLogger(__name__)

PROBABILITIES = "probabilities"
DESCRIPTION = "prediction.json"
_THREADS = 2  # and as many pictures are read ahead, and wait to be written
_SHOWN = 20  # problems
_CODE = ("data", "views", "models", "inference", "ensemble", "deploy")
_OF_PICTURES = {"contents": dict[str, str], "paths": dict[str, str]}  # in prediction.json: SHA-256 and place of each
_RECORDS = {*_OF_PICTURES, "code"}  # what is not compared as a whole
_LATER = ("labels", "fitted")  # what prediction.json of older versions lacks

Predicted = tuple[str, Image, Any]
"""Name, picture, and its class indices or probabilities."""


@dataclass(frozen=True)
class Picture:
    """A file to predict, and the name of its result: its own, without suffix, below the folder that was given."""

    path: Path
    name: str


def find_pictures(paths: Sequence[Path], out: Path) -> list[Picture]:
    """Return files, and the pictures of folders at any depth, by name; what of these is passed over is said.

    `out` is left out. A file that is named may have any suffix.
    FoldsegError for a path that is missing, a folder without pictures, and two files whose results would have one name.
    """
    if not paths:
        raise FoldsegError("no picture or folder is given")
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise FoldsegError(f"{path}: no such file or folder")
        if not path.is_dir() and is_within(path, out):
            raise FoldsegError(
                f"{path}: lies in {out}, where its result would take its place; give --out another folder"
            )
        for picture in _below(path, out) if path.is_dir() else [Picture(path, _name(path))]:
            other = found.setdefault(picture.name, picture.path)
            if other.absolute() != picture.path.absolute():
                raise FoldsegError(f"{other} and {picture.path} would both be predicted into {out / picture.name}")
    return [Picture(path, name) for name, path in sorted(found.items())]


def _name(file: Path) -> str:
    """Name without suffix; `street.2024` has none."""
    return file.stem if file.suffix.lower() in PICTURES else file.name


def _below(folder: Path, out: Path) -> list[Picture]:
    if is_within(folder, out):
        raise FoldsegError(f"{out}: is where the pictures are; give --out another folder")
    files = list_files(folder, deep=True, without=out).files
    if not files:
        raise FoldsegError(f"{folder}: holds no pictures ({', '.join(PICTURES)})")
    return [Picture(file, file.relative_to(folder).with_suffix("").as_posix()) for file in files]


def predict_images(
    source: Source,
    pictures: Sequence[Picture],
    out: Path,
    form: str,
    alpha: float = 0.5,
    white_level: int | None = None,
) -> None:
    """Predict pictures into the folder `out`, one file each; goes on where an earlier call stopped.

    `form`: one of FORMS. `alpha`: share of colour in an overlay. `white_level`: of 16-bit pictures, see
    `config.schema.Pictures`. What is there of a picture that holds the same as when it was predicted stays, whatever
    its times. FoldsegError before anything is done if `out` holds something else than such predictions; and after all
    others are done, for pictures that cannot be read.
    """
    contents = _contents(pictures)
    facts = source.facts | {"form": form, "classes": source.labels.names, "labels": _drawn_labels(source.labels)}
    facts |= {"alpha": alpha} if form == "overlay" else {}
    facts |= {} if white_level is None else {"white_level": white_level}
    facts |= {"pictures": [picture.name for picture in pictures]} if form == PROBABILITIES else {}
    _begin(out, facts, pictures, contents, _suffix(form))
    write = _into_store(out, facts, contents) if form == PROBABILITIES else _into_pngs(out, source.labels, form, alpha)
    todo = [p for p in pictures if not contents[p.name] or not _result(out, p.name, form).is_file()]
    logger.info("%s: %d of %d pictures are to be predicted", out, len(todo), len(pictures))
    problems: list[str] = []
    with threads(_THREADS) as pool:
        read = ahead(pool, partial(_read, reading=Pictures(white_level=white_level)), todo, _THREADS)
        write_one = partial(_written, write, problems)
        written = ahead(pool, write_one, _predicted(source, form, read, problems), _THREADS)
        for _ in tqdm(written, total=len(todo), desc=out.name, unit="image", leave=False, disable=None):
            pass
    problems += _changed_meanwhile(out, todo, contents, form)
    if problems:
        shown = [*problems[:_SHOWN], f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else problems
        raise FoldsegError(
            f"{len(problems)} of {len(pictures)} pictures could not be predicted, the others are in {out}:\n  "
            + "\n  ".join(shown)
        )


def _read(picture: Picture, reading: Pictures) -> tuple[Picture, Image | FoldsegError]:
    try:
        return picture, read_image(picture.path, reading)
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
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            problems.append(f"{picture.path}: {no_room_for(image, source.facts['view'])}")


def _written(write: Callable[[Predicted], None], problems: list[str], predicted: Predicted) -> None:
    """Write one picture; that there is no memory to draw it in is added to `problems`."""
    try:
        write(predicted)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        problems.append(f"{predicted[0]}: there is not enough memory to draw or write its result")


def _into_pngs(out: Path, labels: LabelSet, form: str, alpha: float) -> Callable[[Predicted], None]:
    def write(predicted: Predicted) -> None:
        name, image, mask = predicted
        write_png(out / f"{name}.png", _DRAWN[form](image, mask, labels, alpha))

    return write


def _into_store(out: Path, facts: dict[str, Any], contents: Mapping[str, str]) -> Callable[[Predicted], None]:
    store = PredictionStore(out)
    weights, ids = " ".join(facts["weights"]), facts["pictures"]
    of = facts["source"], "pictures", -1, facts["classes"], weights, facts["view"], facts["tta"]
    store.begin(StoreFacts(*of, ids, [contents[name] for name in ids], hash_code(*_CODE)))

    def write(predicted: Predicted) -> None:
        name, _, planes = predicted
        store.write(name, planes)

    return write


def _begin(
    out: Path, facts: dict[str, Any], pictures: Sequence[Picture], contents: Mapping[str, str], suffix: str
) -> None:
    """Describe the folder in prediction.json, having removed what is of pictures that have changed.

    So a result that is there is of the picture whose hash is written down, whenever the process is killed.
    FoldsegError when the folder holds anything else, or the results of other pictures of the same names.
    """
    described, old = out / DESCRIPTION, {}
    if described.is_file():
        old = read_record(described, {}, optional=_OF_PICTURES)
        if isinstance(old.get("config"), dict):
            old["config"] = translate(old["config"])
        compared = [key for key in facts | old if key not in _RECORDS and (key in old or key not in _LATER)]
        if other := [key for key in compared if old.get(key) != facts.get(key)]:
            raise FoldsegError(
                f"{out}: holds predictions of other {', '.join(other)}, see {DESCRIPTION} there; "
                "give --out another folder, or remove this one"
            )
        _check_same_pictures(out, old, pictures, contents, suffix)
        for folder in {file.parent for file in out.rglob("*.partial")}:
            remove_partials(folder)
        _remove_stale(out, old, contents, suffix)
    elif (out.exists() and not out.is_dir()) or any(not file.name.startswith(".") for file in out.glob("*")):
        raise FoldsegError(f"{out}: is no empty folder, and no {DESCRIPTION} says that its files come from here")
    code = old.get("code", hash_code(*_CODE))
    readable = {name: found for name, found in contents.items() if found}
    paths = {name: path for name, path in old.get("paths", {}).items() if Path(path).is_file()}
    paths = {p.name: str(p.path.absolute()) for p in pictures if p.name in readable} | paths
    new = facts | {"code": code, "contents": {**old.get("contents", {}), **readable}, "paths": paths}
    if new != old:
        write_json(described, new)


def _check_same_pictures(
    out: Path, old: Mapping[str, Any], pictures: Sequence[Picture], contents: Mapping[str, str], suffix: str
) -> None:
    """FoldsegError if a result would take the place of another picture's, which is still where it was predicted."""
    for picture in pictures:
        name, before = picture.name, old.get("paths", {}).get(picture.name)
        is_other = contents[name] != old.get("contents", {}).get(name) and before != str(picture.path.absolute())
        if before is not None and is_other and Path(before).is_file() and (out / f"{name}{suffix}").is_file():
            raise FoldsegError(
                f"{out / name}{suffix}: is the result of {before}; that of {picture.path} would take its place; give "
                "--out another folder"
            )


def _remove_stale(out: Path, old: Mapping[str, Any], contents: Mapping[str, str], suffix: str) -> None:
    """Remove results of pictures that hold something else now, or of which that is not known; say so."""
    before = old.get("contents", {})
    there = [name for name, found in contents.items() if found and (out / f"{name}{suffix}").is_file()]
    changed = [name for name in there if contents[name] != before.get(name, contents[name])]
    unknown = [name for name in there if name not in before]
    for names, why in ((changed, "changed after being predicted"), (unknown, "were predicted by an older version")):
        if names:
            what = f"{format_count(names, 'picture')} (e.g. {names[0]})"
            logger.warning("%s: %s %s; predicted again", out, what, why)
    for name in changed + unknown:
        (out / f"{name}{suffix}").unlink()
    if len(there) > len(changed + unknown) and old.get("code") != hash_code(*_CODE):
        logger.warning("%s: what is there is of another version of the code; remove the folder to predict anew", out)


def _contents(pictures: Iterable[Picture]) -> dict[str, str]:
    """Name -> SHA-256 of the file, "" where it cannot be read: that is said when its turn comes."""
    pictures = list(pictures)
    return dict(zip([p.name for p in pictures], hash_readable_files(p.path for p in pictures), strict=True))


def _changed_meanwhile(out: Path, todo: Sequence[Picture], before: Mapping[str, str], form: str) -> list[str]:
    """Remove results of pictures that were replaced between being looked at and being predicted; name these."""
    now = _contents(todo)
    changed = [picture for picture in todo if now[picture.name] != before[picture.name]]
    for picture in changed:
        _result(out, picture.name, form).unlink(missing_ok=True)
    return [f"{picture.path}: changed while it was predicted; give the same command again" for picture in changed]


def _drawn_labels(labels: LabelSet) -> dict[str, Any]:
    """Return what decides how a class is written: raw ids and colours."""
    return labels.definition | {f"(drawn) {c.name}": list(c.colour) for c in labels.classes}


def _result(out: Path, name: str, form: str) -> Path:
    return out / f"{name}{_suffix(form)}"


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
