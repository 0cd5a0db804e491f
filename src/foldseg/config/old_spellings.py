"""Settings as they were spelled before: what finished runs and submissions have on disk is translated.

In a file or an override that somebody writes, an old spelling is an error that says the new one.
"""

from collections.abc import Callable
from typing import Any

import yaml

from foldseg.config.schema import Balance, EffectiveNumber, Optimizer, Schedule, Step, ToyCity, WeightSearch
from foldseg.config.schema.choice import Choice
from foldseg.errors import FoldsegError

Block = dict[str, Any]


def translate(content: Block) -> Block:
    """Return settings in today's spelling; what is not old stays as it is."""
    return {key: TRANSLATIONS[key](value) if key in TRANSLATIONS else value for key, value in content.items()}


def refuse_old(content: Block, source: str, *, is_override: bool = False) -> None:
    """FoldsegError that gives the new spelling if anything in settings is spelled in the old way."""
    new = translate(content)
    changed = [key for key in content if new[key] != content[key]]
    if changed:
        lines = [_override(key, new[key]) if is_override else f"{key}: {_on_one_line(new[key])}" for key in changed]
        is_obsolete = all(new[key] == {} for key in changed)
        remedy = "leave it out" if is_obsolete else f"write {'; '.join(lines)}"
        raise FoldsegError(f"{source}: is spelled otherwise now; {remedy}")


def _override(key: str, value: Any) -> str:
    """Return `schedule.kind=poly`, or `steps='[...]'` if there is more than one value."""
    while isinstance(value, dict) and len(value) == 1:
        ((inner, value),) = value.items()
        key = f"{key}.{inner}"
    text = _on_one_line(value)
    return f"{key}='{text}'" if " " in text else f"{key}={text}"


def _on_one_line(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _of_its_kind(choice: type[Choice], block: Block) -> Block:
    """Drop the settings of other kinds, which once stood beside those of the kind that was chosen."""
    own = choice.class_of(block)
    if not issubclass(own, Choice) or not own.is_kind():
        return block
    others = {key for kind in choice.kinds().values() for key in kind.model_fields} - set(own.model_fields)
    return {key: value for key, value in block.items() if key not in others}


def _data(block: Any) -> Any:
    """`{dataset: toy_city, toy_city: {seed: 3}}` -> `{dataset: {kind: toy_city, seed: 3}}`."""
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
    """`{name: plateau, plateau: {patience: 2}}` -> `{kind: plateau, patience: 2}`."""
    if not isinstance(block, dict) or not block.keys() & {"name", "plateau"}:
        return block
    block = _renamed(block, "name", "kind")
    plateau = block.pop("plateau", None)
    if isinstance(plateau, dict) and block.get("kind", "plateau") == "plateau":
        block |= plateau
    return _of_its_kind(Schedule, block) if "kind" in block else block


def _optimizer(block: Any) -> Any:
    """`{name: sgd, lr: 0.1}` -> `{kind: sgd, lr: 0.1}`."""
    if not isinstance(block, dict) or "name" not in block:
        return block
    return _of_its_kind(Optimizer, _renamed(block, "name", "kind"))


def _loss(block: Any) -> Any:
    """`{class_weights: effective_number, effective_number_beta: 0.9}` -> `{class_weights: {kind: ..., beta: 0.9}}`."""
    if not isinstance(block, dict) or "effective_number_beta" not in block:
        return block
    block = dict(block)
    beta, kind = block.pop("effective_number_beta"), EffectiveNumber.kind_name()
    if block.get("class_weights", kind) == kind:
        block["class_weights"] = {"kind": kind, "beta": beta}
    return block


def _sampling(block: Any) -> Any:
    """`{class_crops: {share: 0.5}, positive: null}` -> `{balance: {kind: class_crops, share: 0.5}}`."""
    kinds = Balance.kinds()
    if not isinstance(block, dict) or not block.keys() & kinds.keys():
        return block
    given = [{"kind": key, **value} for key, value in block.items() if key in kinds and isinstance(value, dict)]
    others = {key: value for key, value in block.items() if key not in kinds}
    return others | {"balance": given[0] if given else None}


def _blend(block: Any) -> Any:
    """`{rule: vote}` -> `{kind: vote}`."""
    return _renamed(block, "rule", "kind") if isinstance(block, dict) else block


def _steps(block: Any) -> Any:
    """`[{crf: {iterations: 2}}, {bias: {}}]` -> `[{kind: crf, iterations: 2}, bias]`."""
    return [_step(step) for step in block] if isinstance(block, list | tuple) else block


def _step(step: Any) -> Any:
    if not isinstance(step, dict) or "kind" in step or not step.keys() <= Step.kinds().keys():
        return step
    given = [(kind, settings) for kind, settings in step.items() if settings is not None]
    if len(given) != 1 or not isinstance(given[0][1], dict):
        return step
    kind, settings = given[0]
    if isinstance(settings.get("search"), str) or "rounds" in settings:
        settings = _with_search(settings)
    return {"kind": kind, **settings} if settings else kind


def _with_search(settings: Block) -> Block:
    """`{search: hill_climbing, rounds: 9}` -> `{search: {kind: hill_climbing, rounds: 9}}`."""
    settings = {"search": next(iter(WeightSearch.kinds())), **settings}
    rounds = settings.pop("rounds", None)
    if rounds is None:
        return settings
    return settings | {"search": _of_its_kind(WeightSearch, {"kind": settings["search"], "rounds": rounds})}


def _renamed(block: Block, old: str, new: str) -> Block:
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
"""Key of a block -> the same block in today's spelling; a block that is not old comes back equal."""
