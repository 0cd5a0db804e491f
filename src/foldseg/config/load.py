"""From YAML files and `key=value` overrides to settings; every error names the key, the file and the choices."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from foldseg.config.draft import Draft
from foldseg.config.old_spellings import refuse_old, translate
from foldseg.config.problems import validate
from foldseg.config.schema import Data, Ensemble, Experiment, PredictView, Settings, Tta
from foldseg.errors import FoldsegError
from foldseg.files import user_path, write_text
from foldseg.inputs import is_absent, read_text

COMMAND_LINE = "the command line"
RESOLVED = "config.yaml"
"""Name of the file in which runs and submissions keep their settings."""
S = TypeVar("S", bound=Settings)
_WRITTEN, _END = "# Written by foldseg, with all settings; ends with a line of three dots\n", "...\n"


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment's YAML (and its bases), apply overrides, check. FoldsegError on anything wrong."""
    return _load(path, overrides, Experiment, {"name": path.stem})


def load_ensemble(path: Path, overrides: Sequence[str] = ()) -> Ensemble:
    """Read an ensemble's YAML (and its bases), apply overrides, check. FoldsegError on anything wrong."""
    return _load(path, overrides, Ensemble, {"name": path.stem})


def load_data(path: Path, overrides: Sequence[str] = ()) -> Data:
    """Read the `data` block of a data set's or an experiment's YAML; other blocks are left aside."""
    draft = _draft(path, overrides, Experiment, {})
    if not isinstance(draft.content.get("data"), dict):
        raise FoldsegError(f"{path}: has no `data:` block; data sets are described in configs/data/")
    only = Draft(_DataFile, {"data": draft.content["data"]}, draft.origin)
    return validate(only, _DataFile, path).data


def load_tta(overrides: Sequence[str]) -> Tta:
    """Read test-time augmentation from overrides `tta=d4`, `tta.scales=[0.75]`, ... FoldsegError on anything wrong."""
    draft = Draft(_TtaFile, origin={(): COMMAND_LINE})
    for override in overrides:
        draft.merge(_parse_override(override), COMMAND_LINE)
    return validate(draft, _TtaFile, Path(COMMAND_LINE)).tta


class _DataFile(Settings):
    data: Data


class _TtaFile(Settings):
    tta: Tta = Tta()


def override_view(view: PredictView, overrides: Sequence[str], path: Path) -> PredictView:
    """Return a view that was read from `path`, changed by overrides `view.predict=...`; FoldsegError for other keys."""
    for override in overrides:
        if override.partition("=")[0].split(".")[:2] != ["view", "predict"]:
            raise FoldsegError(
                f"override {override!r}: predictions are made as the network was trained but for its view; "
                "valid here are view.predict={...}, view.predict.<key>=... and tta.<key>=..."
            )
    draft = Draft(_ViewFile)
    draft.merge({"view": {"predict": view.model_dump(mode="json")}}, str(path))
    for override in overrides:
        draft.merge(_parse_override(override), COMMAND_LINE)
    return validate(draft, _ViewFile, path).view.predict


class _ViewBlock(Settings):
    predict: PredictView


class _ViewFile(Settings):
    view: _ViewBlock


def save(settings: Settings, path: Path) -> None:
    """Write resolved settings as YAML that `load_*` reads back to an equal object."""
    content = yaml.safe_dump(settings.model_dump(mode="json", exclude_unset=False), sort_keys=False)
    write_text(path, f"{_WRITTEN}{content}{_END}")


def _load(path: Path, overrides: Sequence[str], model: type[S], given: dict[str, Any]) -> S:
    return validate(_draft(path, overrides, model, given), model, path)


def _draft(path: Path, overrides: Sequence[str], model: type[Settings], given: dict[str, Any]) -> Draft:
    draft = Draft(model, origin={(): str(path)})
    draft.merge(given, str(path))
    _read_into(draft, path, ())
    for override in overrides:
        draft.merge(_parse_override(override), COMMAND_LINE)
    return draft


def _read_into(draft: Draft, path: Path, open_files: tuple[Path, ...]) -> None:
    """Merge a file over its bases into the draft, depth first."""
    real = Path(os.path.realpath(path))  # `resolve` raises RuntimeError for a link to itself
    if real in open_files:
        raise FoldsegError(f"{path}: is its own base, by way of {' -> '.join(p.name for p in open_files)}")
    content = _read_settings(path)
    bases = content.pop("base", None)
    bases = [] if bases is None else [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise FoldsegError(f"{path}: base should be a file or a list of files; found {bases!r}")
    for base in bases:
        target = path.parent / _user_path(path, base)
        if not target.is_file():
            raise FoldsegError(f"{path}: base {base!r} does not exist ({target})")
        _read_into(draft, target, (*open_files, real))
    draft.merge(content, str(path))


def _user_path(path: Path, base: str) -> Path:
    try:
        return user_path(Path(base))
    except ValueError as error:
        raise FoldsegError(f"{path}: base {error}") from None


def _read_settings(path: Path) -> dict[str, Any]:
    """Read a file of settings; old spellings are translated in what foldseg has written, and refused elsewhere."""
    text = _read_text(path)
    content = _parse(text, path)
    if path.name == RESOLVED or text.startswith(_WRITTEN):
        return translate(content)
    refuse_old(content, str(path))
    return content


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; FoldsegError when the file is missing, not YAML or not a mapping."""
    return _parse(_read_text(path), path)


def _read_text(path: Path) -> str:
    if is_absent(path):
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, beside, 3, 0.4) or beside[:5]
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise FoldsegError(f"{path}: no such configuration{hint}")
    try:
        text = read_text(path)
    except ValueError as error:
        raise FoldsegError(f"{path}: not valid YAML: {error}") from error
    if text.startswith(_WRITTEN) and not text.endswith(_END):
        raise FoldsegError(f"{path}: is cut short: its last line should be `...`")
    return text


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except RecursionError as error:
        raise FoldsegError(f"{path}: not valid YAML: it is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise FoldsegError(f"{path}: not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise FoldsegError(f"{path}: should be a mapping of settings, is a {type(content).__name__}")
    return content


def _parse_override(text: str) -> dict[str, Any]:
    """`a.b=1` -> {"a": {"b": 1}}; the value is YAML."""
    keys, separator, value = text.partition("=")
    if not separator or not all(keys.split(".")):
        raise FoldsegError(f"override {text!r} should read key=value or key.sub=value")
    try:
        result: Any = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FoldsegError(f"override {text!r}: {value!r} is not a YAML value") from error
    for key in reversed(keys.split(".")):
        result = {key: result}
    refuse_old(result, f"override {text!r}", is_override=True)
    return dict(result)
