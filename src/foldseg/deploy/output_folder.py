"""A folder of predicted pictures, and its prediction.json, which says what each result was predicted from.

    <folder>/<name><suffix>    the result of a picture
    <folder>/prediction.json   the settings, the hash of the code, and for each picture the hash and place of its file

A second call goes on where the first one stopped. A result stays if its picture still has the same content.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldseg.config.old_spellings import translate
from foldseg.data.hashes import format_count, hash_code, hash_readable_files
from foldseg.deploy.picture_files import PictureFile
from foldseg.errors import FoldsegError
from foldseg.files import read_record, remove_partials, write_json

logger = logging.getLogger(__name__)

DESCRIPTION = "prediction.json"
_CODE = ("data", "views", "models", "inference", "ensemble", "deploy")  # rooms whose code decides what is predicted
_PER_PICTURE = {"contents": dict[str, str], "paths": dict[str, str]}  # name -> SHA-256, name -> absolute path
_NOT_SETTINGS = {*_PER_PICTURE, "code"}
_LATER_KEYS = ("labels", "fitted")  # older versions did not write these


@dataclass(frozen=True)
class OutputFolder:
    """The folder that results are written into, one file with `suffix` for each picture."""

    path: Path
    suffix: str

    def result_of(self, name: str) -> Path:
        """Return where the result of a picture belongs."""
        return self.path / f"{name}{self.suffix}"

    def begin(self, settings: dict[str, Any], pictures: Sequence[PictureFile], hashes: Mapping[str, str]) -> None:
        """Remove results of pictures that have changed, then describe the folder in prediction.json.

        `settings`: all that results depend on besides the picture. `hashes`: see `hash_pictures`. Stale results are
        removed before the new hashes are written. So a hash and its result always belong together, even if the process
        is killed. FoldsegError if the folder holds something else, results of other settings, or results of other
        pictures with the same names.
        """
        file, old = self.path / DESCRIPTION, dict[str, Any]()
        if file.is_file():
            old = read_record(file, {}, optional=_PER_PICTURE)
            self._check_same_settings(old, settings)
            self._check_same_pictures(old, pictures, hashes)
            for folder in {partial.parent for partial in self.path.rglob("*.partial")}:
                remove_partials(folder)
            self._remove_stale(old, hashes)
        else:
            self._check_empty()
        readable = {name: content for name, content in hashes.items() if content}
        paths = {name: path for name, path in old.get("paths", {}).items() if Path(path).is_file()}
        new_paths = {picture.name: str(picture.path.absolute()) for picture in pictures if picture.name in readable}
        new = settings | {
            "code": old.get("code", hash_prediction_code()),
            "contents": {**old.get("contents", {}), **readable},
            "paths": new_paths | paths,
        }
        if new != old:
            write_json(file, new)

    def remove_replaced(self, pictures: Sequence[PictureFile], hashes: Mapping[str, str]) -> list[PictureFile]:
        """Remove the results of pictures whose files have changed since `hashes` was made; return these pictures."""
        now = hash_pictures(pictures)
        replaced = [picture for picture in pictures if now[picture.name] != hashes[picture.name]]
        for picture in replaced:
            self.result_of(picture.name).unlink(missing_ok=True)
        return replaced

    def _check_empty(self) -> None:
        is_other_file = self.path.exists() and not self.path.is_dir()
        if is_other_file or any(not file.name.startswith(".") for file in self.path.glob("*")):
            raise FoldsegError(
                f"{self.path}: is no empty folder, and no {DESCRIPTION} says that its files come from here"
            )

    def _check_same_settings(self, old: dict[str, Any], settings: dict[str, Any]) -> None:
        if isinstance(old.get("config"), dict):
            old["config"] = translate(old["config"])
        keys = [key for key in settings | old if key not in _NOT_SETTINGS]
        keys = [key for key in keys if key in old or key not in _LATER_KEYS]
        differences = [key for key in keys if old.get(key) != settings.get(key)]
        if differences:
            raise FoldsegError(
                f"{self.path}: holds predictions of other {', '.join(differences)}, see {DESCRIPTION} there; "
                "give --out another folder, or remove this one"
            )

    def _check_same_pictures(
        self, old: Mapping[str, Any], pictures: Sequence[PictureFile], hashes: Mapping[str, str]
    ) -> None:
        """Raise FoldsegError if a result would replace that of another picture which is still in its place."""
        for picture in pictures:
            name, result = picture.name, self.result_of(picture.name)
            old_path = old.get("paths", {}).get(name)
            if old_path is None or old_path == str(picture.path.absolute()):
                continue
            is_other = hashes[name] != old.get("contents", {}).get(name)
            if is_other and Path(old_path).is_file() and result.is_file():
                raise FoldsegError(
                    f"{result}: is the result of {old_path}; the result of {picture.path} would take its place; "
                    "give --out another folder"
                )

    def _remove_stale(self, old: Mapping[str, Any], hashes: Mapping[str, str]) -> None:
        """Remove results of pictures whose content has changed, or was not recorded; log how many."""
        old_hashes = old.get("contents", {})
        present = [name for name, content in hashes.items() if content and self.result_of(name).is_file()]
        changed = [name for name in present if hashes[name] != old_hashes.get(name, hashes[name])]
        unrecorded = [name for name in present if name not in old_hashes]
        for names, why in (
            (changed, "changed after being predicted"),
            (unrecorded, "were predicted by an older version"),
        ):
            if names:
                what = f"{format_count(names, 'picture')} (e.g. {names[0]})"
                logger.warning("%s: %s %s; predicted again", self.path, what, why)
        for name in changed + unrecorded:
            self.result_of(name).unlink()
        has_older_results = len(present) > len(changed + unrecorded)
        if has_older_results and old.get("code") != hash_prediction_code():
            logger.warning(
                "%s: what is there is of another version of the code; remove the folder to predict anew", self.path
            )


def hash_pictures(pictures: Iterable[PictureFile]) -> dict[str, str]:
    """Return name -> SHA-256 of the file. It is "" for a file that cannot be read: its error comes when it is read."""
    pictures = list(pictures)
    hashes = hash_readable_files(picture.path for picture in pictures)
    return dict(zip([picture.name for picture in pictures], hashes, strict=True))


def hash_prediction_code() -> str:
    """Return the hash of all code that decides what is predicted for a picture."""
    return hash_code(*_CODE)
