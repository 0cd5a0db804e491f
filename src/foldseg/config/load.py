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
from foldseg.config.schema.submissions import SubmissionKind
from foldseg.errors import FoldsegError
from foldseg.files import user_path, write_text
from foldseg.inputs import is_absent, read_text

COMMAND_LINE = "the command line"
RESOLVED = "config.yaml"
"""Name of the file in which runs and submissions keep their settings."""
S = TypeVar("S", bound=Settings)
_WRITTEN = "# Written by foldseg, with all settings; ends with a line of three dots\n"
"""First line of the files that `save` writes."""
_END = "...\n"
"""Last line of the files that `save` writes. A file without it is cut short."""


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Return the settings of an experiment's YAML and its bases, changed by overrides. FoldsegError if one is wrong."""
    return validate(_draft(path, overrides, Experiment, {"name": path.stem}), Experiment, path)


def load_ensemble(path: Path, overrides: Sequence[str] = ()) -> Ensemble:
    """Return the settings of an ensemble's YAML and its bases, changed by overrides. FoldsegError if one is wrong."""
    return validate(_draft(path, overrides, Ensemble, {"name": path.stem}), Ensemble, path)


def load_data(path: Path, overrides: Sequence[str] = ()) -> Data:
    """Return the block `data` of the YAML of a data set or an experiment. Its other blocks are ignored."""
    draft = _draft(path, overrides, Experiment, {})
    _refuse_unknown_blocks(draft, path)
    if not isinstance(draft.content.get("data"), dict):
        raise FoldsegError(f"{path}: has no `data:` block; data sets are described in configs/data/")
    data_draft = Draft(_DataFile, {"data": draft.content["data"]}, draft.origin)
    return validate(data_draft, _DataFile, path).data


def _refuse_unknown_blocks(draft: Draft, path: Path) -> None:
    """Raise FoldsegError for a key beside `data` that no experiment has; it may be one that belongs into `data`."""
    unknown = [key for key in draft.content if key not in Experiment.model_fields]
    if unknown:
        key = unknown[0]
        near = [f"data.{key}"] if key in Data.model_fields else []
        near += [f"data.{name}" for name in difflib.get_close_matches(str(key), Data.model_fields, 1) if name != key]
        hint = f"; did you mean {near[0]}?" if near else ""
        raise FoldsegError(f"{path}: {key} ({draft.source_of((key,))}): unknown key{hint}")


def load_tta(overrides: Sequence[str]) -> Tta:
    """Return the test-time augmentation that overrides describe: `tta=d4`, `tta.scales=[0.75]`, ...

    FoldsegError if one is wrong.
    """
    draft = Draft(_TtaFile, origin={(): COMMAND_LINE})
    for override in overrides:
        draft.merge(_parse_override(override), COMMAND_LINE)
    return validate(draft, _TtaFile, Path(COMMAND_LINE)).tta


def load_submission_kind(text: str, option: str) -> SubmissionKind:
    """Return the format that a YAML text on the command line describes: `run_length` or `{kind: run_length, base: 0}`.

    `option`: the name of the option, for messages. FoldsegError if a setting is wrong.
    """
    draft = Draft(_SubmissionFile, origin={(): option})
    draft.merge({"submission": _parse_value(text, option)}, option)
    return validate(draft, _SubmissionFile, Path(option)).submission


class _SubmissionFile(Settings):
    submission: SubmissionKind


class _DataFile(Settings):
    data: Data


class _TtaFile(Settings):
    tta: Tta = Tta()


def override_view(view: PredictView, overrides: Sequence[str], path: Path) -> PredictView:
    """Return a view changed by overrides `view.predict=...`. FoldsegError for other keys.

    `path`: the file that the view was read from, for messages.
    """
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
    """Write settings as YAML, all of them. `load_experiment` and `load_ensemble` return an equal object from it."""
    content = yaml.safe_dump(settings.model_dump(mode="json", exclude_unset=False), sort_keys=False)
    write_text(path, f"{_WRITTEN}{content}{_END}")


def _draft(path: Path, overrides: Sequence[str], model: type[Settings], defaults: dict[str, Any]) -> Draft:
    """Return the draft of a file: defaults, then its bases, then the file, then overrides."""
    draft = Draft(model, origin={(): str(path)})
    draft.merge(defaults, str(path))
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
    for base in _list_bases(content.pop("base", None), path):
        _read_into(draft, base, (*open_files, real))
    draft.merge(content, str(path))


def _list_bases(value: Any, path: Path) -> list[Path]:
    """Return the files that the setting `base` of the file `path` names."""
    names = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FoldsegError(f"{path}: base should be a file or a list of files; found {names!r}")
    bases = []
    for name in names:
        try:
            base = path.parent / user_path(Path(name))
        except ValueError as error:
            raise FoldsegError(f"{path}: base {error}") from None
        if not base.is_file():
            raise FoldsegError(f"{path}: base {name!r} does not exist ({base})")
        bases.append(base)
    return bases


def _read_settings(path: Path) -> dict[str, Any]:
    """Return the content of a file of settings.

    Old spellings are translated in files that foldseg has written. In other files they are errors.
    """
    text = _read_text(path)
    content = _parse(text, path)
    if path.name == RESOLVED or text.startswith(_WRITTEN):
        return translate(content)
    refuse_old(content, str(path))
    return content


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping of a YAML file. FoldsegError if the file is missing, no YAML or no mapping."""
    return _parse(_read_text(path), path)


def _read_text(path: Path) -> str:
    """Return the text of a YAML file. FoldsegError if the file is missing, no text or cut short."""
    if is_absent(path):
        others = sorted(other.name for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, others, 3, 0.4) or others[:5]
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
    """Return the mapping that a YAML text holds. FoldsegError if it is no YAML or no mapping."""
    try:
        content = _load(text)
    except RecursionError as error:
        raise FoldsegError(f"{path}: not valid YAML: it is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise FoldsegError(f"{path}: not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise FoldsegError(f"{path}: should be a mapping of settings, is a {type(content).__name__}")
    return content


def _load(text: str) -> Any:
    """Return the value of a YAML text. YAMLError, ValueError or RecursionError if it is none, or refers to itself."""
    value = yaml.safe_load(text)  # not CSafeLoader: deep nesting would crash the process
    _refuse_circle(value, [], set())
    return value


def _refuse_circle(value: Any, around: list[int], checked: set[int]) -> None:
    """Raise ValueError if an alias refers to a mapping or list that it is in. `around`: ids of those around a value."""
    if id(value) in around:
        raise ValueError("an alias (*) refers to a mapping or list that it is in")
    if id(value) in checked or not isinstance(value, dict | list):
        return
    for inner in value.values() if isinstance(value, dict) else value:
        _refuse_circle(inner, [*around, id(value)], checked)
    checked.add(id(value))


def _parse_override(text: str) -> dict[str, Any]:
    """Return the mapping that an override stands for: `a.b=1` -> {"a": {"b": 1}}. The value is YAML."""
    keys, separator, value = text.partition("=")
    if not separator or not all(keys.split(".")):
        raise FoldsegError(f"override {text!r} should read key=value or key.sub=value")
    result = _parse_value(value, f"override {text!r}")
    for key in reversed(keys.split(".")):
        result = {key: result}
    refuse_old(result, f"override {text!r}", is_override=True)
    return dict(result)


def _parse_value(text: str, where: str) -> Any:
    """Return the value of a YAML text on the command line. FoldsegError, which begins with `where`, if it is none."""
    try:
        return _load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FoldsegError(f"{where}: {text!r} is not a YAML value") from error
