"""Settings in the spelling of earlier versions.

In the files of finished runs and submissions they are translated. In a user's own files and overrides they are an
error, which says the new spelling.
"""

from collections.abc import Callable
from typing import Any

import yaml

from foldseg.config.schema import Balance, EffectiveNumber, Optimizer, Schedule, Step, ToyCity, WeightSearch
from foldseg.config.schema.choice import Choice
from foldseg.errors import FoldsegError

Block = dict[str, Any]


def translate(content: Block) -> Block:
    """Return settings in today's spelling. Settings that are spelled so already stay as they are."""
    return {key: TRANSLATIONS[key](value) if key in TRANSLATIONS else value for key, value in content.items()}


def refuse_old(content: Block, source: str, *, is_override: bool = False) -> None:
    """Raise FoldsegError if a setting is spelled in an old way. It says the new spelling.

    `source`: the file or override, for the message; `is_override`: whether to say the new spelling as an override.
    """
    new = translate(content)
    changed = [key for key in content if new[key] != content[key]]
    if changed:
        lines = [
            _format_override(key, new[key]) if is_override else f"{key}: {_format_value(new[key])}" for key in changed
        ]
        is_obsolete = all(new[key] == {} for key in changed)
        remedy = "leave it out" if is_obsolete else f"write {'; '.join(lines)}"
        raise FoldsegError(f"{source}: is spelled otherwise now; {remedy}")


def _format_override(key: str, value: Any) -> str:
    """Return the override that sets a value: `schedule.kind=poly`, or `steps='[...]'` for several values."""
    while isinstance(value, dict) and len(value) == 1:
        ((inner, value),) = value.items()
        key = f"{key}.{inner}"
    text = _format_value(value)
    return f"{key}='{text}'" if " " in text else f"{key}={text}"


def _format_value(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _drop_other_kinds(choice: type[Choice], block: Block) -> Block:
    """Return a block without the settings of other kinds than its own. An old block had those of all kinds."""
    own_kind = choice.class_of(block)
    if not issubclass(own_kind, Choice) or not own_kind.is_kind():
        return block
    all_keys = {key for kind in choice.kinds().values() for key in kind.model_fields}
    keys_of_others = all_keys - set(own_kind.model_fields)
    return {key: value for key, value in block.items() if key not in keys_of_others}


def _data(block: Any) -> Any:
    """Turn `{dataset: toy_city, toy_city: {seed: 3}}` into `{dataset: {kind: toy_city, seed: 3}}`."""
    kind = ToyCity.kind_name()
    if not isinstance(block, dict) or kind not in block:
        return block
    others = {key: value for key, value in block.items() if key != kind}
    settings = block[kind]
    if settings is None:
        return others
    if not isinstance(settings, dict) or others.get("dataset", kind) != kind:
        return block
    return others | {"dataset": {"kind": kind, **settings}}


def _schedule(block: Any) -> Any:
    """Turn `{name: plateau, plateau: {patience: 2}}` into `{kind: plateau, patience: 2}`."""
    if not isinstance(block, dict) or not block.keys() & {"name", "plateau"}:
        return block
    block = _rename_key(block, "name", "kind")
    plateau = block.pop("plateau", None)
    if isinstance(plateau, dict) and block.get("kind", "plateau") == "plateau":
        block |= plateau
    return _drop_other_kinds(Schedule, block) if "kind" in block else block


def _optimizer(block: Any) -> Any:
    """Turn `{name: sgd, lr: 0.1}` into `{kind: sgd, lr: 0.1}`."""
    if not isinstance(block, dict) or "name" not in block:
        return block
    return _drop_other_kinds(Optimizer, _rename_key(block, "name", "kind"))


def _loss(block: Any) -> Any:
    """Turn `{class_weights: effective_number, effective_number_beta: 0.9}` into a block.

    The block is `{class_weights: {kind: effective_number, beta: 0.9}}`.
    """
    if not isinstance(block, dict) or "effective_number_beta" not in block:
        return block
    block = dict(block)
    beta, kind = block.pop("effective_number_beta"), EffectiveNumber.kind_name()
    if block.get("class_weights", kind) == kind:
        block["class_weights"] = {"kind": kind, "beta": beta}
    return block


def _sampling(block: Any) -> Any:
    """Turn `{class_crops: {share: 0.5}, positive: null}` into `{balance: {kind: class_crops, share: 0.5}}`."""
    kinds = Balance.kinds()
    if not isinstance(block, dict) or not block.keys() & kinds.keys():
        return block
    balances = [{"kind": key, **value} for key, value in block.items() if key in kinds and isinstance(value, dict)]
    others = {key: value for key, value in block.items() if key not in kinds}
    return others | {"balance": balances[0] if balances else None}


def _blend(block: Any) -> Any:
    """Turn `{rule: vote}` into `{kind: vote}`."""
    return _rename_key(block, "rule", "kind") if isinstance(block, dict) else block


def _steps(block: Any) -> Any:
    """Turn `[{crf: {iterations: 2}}, {bias: {}}]` into `[{kind: crf, iterations: 2}, bias]`."""
    return [_step(step) for step in block] if isinstance(block, list | tuple) else block


def _step(step: Any) -> Any:
    """Turn `{crf: {iterations: 2}}` into `{kind: crf, iterations: 2}`, and `{bias: {}}` into `bias`."""
    if not isinstance(step, dict) or "kind" in step or not step.keys() <= Step.kinds().keys():
        return step
    kinds = [(kind, settings) for kind, settings in step.items() if settings is not None]
    if len(kinds) != 1 or not isinstance(kinds[0][1], dict):
        return step
    kind, settings = kinds[0]
    if isinstance(settings.get("search"), str) or "rounds" in settings:
        settings = _nest_search(settings)
    return {"kind": kind, **settings} if settings else kind


def _nest_search(settings: Block) -> Block:
    """Turn `{search: hill_climbing, rounds: 9}` into `{search: {kind: hill_climbing, rounds: 9}}`."""
    settings = {"search": next(iter(WeightSearch.kinds())), **settings}
    rounds = settings.pop("rounds", None)
    if rounds is None:
        return settings
    search = {"kind": settings["search"], "rounds": rounds}
    return settings | {"search": _drop_other_kinds(WeightSearch, search)}


def _rename_key(block: Block, old: str, new: str) -> Block:
    return {new if key == old else key: value for key, value in block.items()}


TRANSLATIONS: dict[str, Callable[[Any], Any]] = {
    "data": _data,
    "loss": _loss,
    "sampling": _sampling,
    "schedule": _schedule,
    "optimizer": _optimizer,
    "steps": _steps,
    "blend": _blend,
}
"""Key of a block -> function that returns it in today's spelling. A block that is not old comes back equal."""
