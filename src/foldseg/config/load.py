"""From YAML files and `key=value` overrides to settings; every error names the key, the file and the choices."""

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from foldseg.config.schema import Data, Ensemble, Experiment, Model, PredictView, Settings, Tta
from foldseg.config.schema.base import ConflictError
from foldseg.config.schema.tta import long_form
from foldseg.errors import FoldsegError
from foldseg.files import user_path, write_text
from foldseg.inputs import is_absent, read_text

COMMAND_LINE = "the command line"
S = TypeVar("S", bound=Settings)
_WRITTEN, _END = "# Written by foldseg, with all settings; ends with a line of three dots\n", "...\n"
_SHOWN = 12  # wrong settings
_LONGEST = 200  # letters of a wrong value
_VALID_KEYS = "valid keys here: "
Keys = tuple[Any, ...]


@dataclass
class Draft:
    """Settings before they are checked: the merged mapping, and where each key was said last."""

    content: dict[str, Any] = field(default_factory=dict)
    origin: dict[Keys, str] = field(default_factory=dict)

    def merge(self, addition: dict[str, Any], source: str) -> None:
        """Lay `addition` over the draft.

        A mapping with another `kind` replaces the one below it; another `architecture` drops the options of the last.
        """
        self._merge(self.content, addition, source, ())

    def _merge(self, target: dict[str, Any], addition: dict[str, Any], source: str, path: Keys) -> None:
        for key, value in addition.items():
            here = (*path, key)
            if key == "tta":  # so that tta.scales=... adds to `tta: [flip]`
                value = long_form(value)
            self.origin[here] = source
            old = target.get(key)
            other_kind = isinstance(value, dict) and isinstance(old, dict) and _other_kind(old, value)
            if isinstance(value, dict) and isinstance(old, dict) and not other_kind:
                if key == "model" and _other_architecture(old, value):
                    old.pop("options", None)
                self._merge(old, value, source, here)
            elif isinstance(value, dict):
                target[key] = {}
                self._merge(target[key], value, source, here)
            else:
                target[key] = value

    def source_of(self, keys: Keys) -> str:
        """Return the file that said `keys` or the innermost mapping around them."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.origin:
                return self.origin[keys[:length]]
        return self.origin.get((), "configuration")


def _other_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return "kind" in new and new["kind"] != old.get("kind")


def _other_architecture(old: dict[str, Any], new: dict[str, Any]) -> bool:
    before = old.get("architecture", Model().architecture)
    return bool(new.get("architecture", before) != before)


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment's YAML (and its bases), apply overrides, check. FoldsegError on anything wrong."""
    return _load(path, overrides, Experiment, {"name": path.stem})


def load_ensemble(path: Path, overrides: Sequence[str] = ()) -> Ensemble:
    """Read an ensemble's YAML (and its bases), apply overrides, check. FoldsegError on anything wrong."""
    return _load(path, overrides, Ensemble, {"name": path.stem})


def load_data(path: Path, overrides: Sequence[str] = ()) -> Data:
    """Read the `data` block of a data set's or an experiment's YAML; other blocks are left aside."""
    draft = _draft(path, overrides, {})
    if not isinstance(draft.content.get("data"), dict):
        raise FoldsegError(f"{path}: has no `data:` block; data sets are described in configs/data/")
    only = Draft({"data": draft.content["data"]}, draft.origin)
    return _validate(only, _DataFile, path).data


def load_tta(overrides: Sequence[str]) -> Tta:
    """Read test-time augmentation from overrides `tta=d4`, `tta.scales=[0.75]`, ... FoldsegError on anything wrong."""
    draft = Draft(origin={(): COMMAND_LINE})
    for override in overrides:
        draft.merge(_parse_override(override), COMMAND_LINE)
    return _validate(draft, _TtaFile, Path(COMMAND_LINE)).tta


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
    draft = Draft()
    draft.merge({"view": {"predict": view.model_dump(mode="json")}}, str(path))
    for override in overrides:
        draft.merge(_parse_override(override), COMMAND_LINE)
    return _validate(draft, _ViewFile, path).view.predict


class _ViewBlock(Settings):
    predict: PredictView


class _ViewFile(Settings):
    view: _ViewBlock


def save(settings: Settings, path: Path) -> None:
    """Write resolved settings as YAML that `load_*` reads back to an equal object."""
    content = yaml.safe_dump(settings.model_dump(mode="json", exclude_unset=False), sort_keys=False)
    write_text(path, f"{_WRITTEN}{content}{_END}")


def _load(path: Path, overrides: Sequence[str], model: type[S], given: dict[str, Any]) -> S:
    return _validate(_draft(path, overrides, given), model, path)


def _draft(path: Path, overrides: Sequence[str], given: dict[str, Any]) -> Draft:
    draft = Draft(origin={(): str(path)})
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
    content = read_yaml(path)
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


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; FoldsegError when the file is missing, not YAML or not a mapping."""
    if is_absent(path):
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, beside, 3, 0.4) or beside[:5]
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise FoldsegError(f"{path}: no such configuration{hint}")
    try:
        text = read_text(path)
        if text.startswith(_WRITTEN) and not text.endswith(_END):
            raise FoldsegError(f"{path}: is cut short: its last line should be `...`")
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
    return dict(result)


def _validate(draft: Draft, model: type[S], path: Path) -> S:
    try:
        return model.model_validate(draft.content)
    except ValidationError as error:
        problems = [_Problem.of(details, draft, model) for details in error.errors()]
        merged = _merged(problems)
        raise FoldsegError(f"{path}: {len(merged)} wrong setting(s)\n" + "\n".join(_lines(merged))) from None


@dataclass
class _Problem:
    """What pydantic says of a setting: its keys, where it was said, what is wrong, and the value (if it is short)."""

    keys: Keys
    name: str
    source: str
    message: str
    found: str
    is_of_type: bool  # the value is of another type, so another member of a union may be what was meant
    instead_of: Keys | None = None  # the key that was meant by an unknown one

    @staticmethod
    def of(details: Any, draft: Draft, model: type[BaseModel]) -> "_Problem":
        """Translate one of pydantic's errors."""
        kind = details["type"]
        keys = _without_tags(details["loc"], draft.content, keep_last=kind in ("missing", "extra_forbidden"))
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, ConflictError):
            blamed = [(*keys, *key.split(".")) for key in cause.keys]
            name, source = _names(blamed), ", ".join(dict.fromkeys(draft.source_of(key) for key in blamed))
        else:
            name, source = _names([keys]) or "(the whole)", draft.source_of(keys)
        if kind == "missing":
            return _Problem(keys, name, source, "is missing", "", False)
        if kind == "extra_forbidden":
            meant, message = _unknown(model, keys, draft.content)
            return _Problem(keys, name, source, message, "", False, None if meant is None else (*keys[:-1], meant))
        message = details["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
        found = "" if isinstance(details["input"], dict | BaseModel) else f"; found {_short(details['input'])}"
        is_of_type = kind.endswith(("_type", "_parsing")) or kind == "literal_error"
        return _Problem(keys, name, source, message, found, is_of_type)

    def line(self) -> str:
        """Return `  key (file): what is wrong; what would be right`."""
        return f"  {self.name} ({self.source}): {self.message}{self.found}"


def _short(value: Any) -> str:
    """Return a wrong value as it is shown: whole, unless it is very long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _lines(problems: list[_Problem]) -> list[str]:
    """Return a line for each problem, `_SHOWN` at most. The valid keys of a block are listed once."""
    lines: list[str] = []
    listed: set[str] = set()
    for problem in problems[:_SHOWN]:
        message, separator, keys = problem.message.partition(_VALID_KEYS)
        again = bool(separator) and keys in listed
        lines.append(replace(problem, message=message.rstrip("; ")).line() if again else problem.line())
        listed.add(keys)
    return [*lines, f"  and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else lines


def _names(keys: Iterable[Keys]) -> str:
    return ", ".join(".".join(str(key) for key in path) for path in keys)


def _merged(problems: list[_Problem]) -> list[_Problem]:
    """One problem for each wrong setting: pydantic reports every member of a union, and a misnamed key twice."""
    meant = [problem.instead_of for problem in problems]
    merged: dict[tuple[Keys, str], _Problem] = {}
    for problem in problems:
        if problem.message == "is missing" and problem.keys in meant:
            continue
        if problem.is_of_type and any(_is_within(other.keys, problem.keys) for other in problems):
            continue
        other = merged.get((problem.keys, problem.name))
        if other is None or (other.is_of_type and not problem.is_of_type):
            merged[problem.keys, problem.name] = problem
        elif other.is_of_type and problem.is_of_type:
            other.message += f", or {problem.message.removeprefix('Input should be ')}"
        elif not problem.is_of_type:
            merged[(*problem.keys, len(merged)), problem.name] = problem
    return list(merged.values())


def _is_within(inner: Keys, outer: Keys) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _unknown(model: type[BaseModel], keys: Keys, content: Any) -> tuple[str | None, str]:
    """Return the key that was probably meant by an unknown one, if any, and what is to be said."""
    block = _block_at(model, keys[:-1], content)
    valid = list(block.model_fields) if hasattr(block, "model_fields") else []
    key = str(keys[-1])
    near = difflib.get_close_matches(key, valid, 1)
    meant = getattr(block, "mistaken_names", {}).get(key) or (near[0] if near else None)
    hint = f"did you mean {meant!r}? " if meant else ""
    return meant, f"unknown key; {hint}{_VALID_KEYS}{', '.join(valid)}"


def _without_tags(location: Keys, content: Any, *, keep_last: bool) -> Keys:
    """Drop what pydantic puts into a location that is no key of the file: the member of a union it tried.

    `keep_last`: the last part is a key although the file lacks it.
    """
    keys: list[Any] = []
    for index, part in enumerate(location):
        if isinstance(content, dict):
            is_last = index == len(location) - 1
            if part not in content and not (is_last and keep_last):
                continue
            if part not in content and part == content.get("kind"):
                continue
            content = content.get(part)
        elif isinstance(content, list | tuple) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            continue
        keys.append(part)
    return tuple(keys)


def _block_at(model: Any, keys: Keys, content: Any) -> Any:
    """Return the settings class of the block at `keys`."""
    for key in keys:
        content = content[key]
        if isinstance(key, str):
            model = _block(model.model_fields[key].annotation, content)
        else:
            model = _block(get_args(model)[0], content)
    return model


def _block(annotation: Any, content: Any) -> Any:
    """Return the settings class (or sequence of them) that an annotation stands for, by `kind` if it is a union."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _block(get_args(annotation)[0], content)
    if origin in (Union, UnionType):
        choices = [_block(choice, content) for choice in get_args(annotation)]
        choices = [choice for choice in choices if hasattr(choice, "model_fields") or get_origin(choice) is tuple]
        for choice in choices:
            kind = getattr(choice, "model_fields", {}).get("kind")
            if kind is not None and isinstance(content, dict) and content.get("kind") in get_args(kind.annotation):
                return choice
        return choices[0] if choices else annotation
    return annotation
