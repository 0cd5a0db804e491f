"""Finds settings that have no effect together with the other settings. Training reports them before it begins.

An experiment takes over the settings of its bases, and may switch off what some of them belong to. So such settings are
no error, but a user who changes one should know that nothing will happen.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from foldseg.config.schema import Experiment, Swa
from foldseg.config.schema.base import Settings
from foldseg.config.schema.definitions import define_architecture


class Rule(NamedTuple):
    """When settings have an effect."""

    settings: str
    """Dotted names of settings, separated by blanks."""
    has_effect: Callable[[Experiment], bool]
    reason: str
    """Why they have no effect, if they have none."""


def _count_averaged_epochs(swa: Swa, epochs: int) -> int:
    """Return the number of epochs that an SWA is the mean of."""
    return (epochs - 1 - math.ceil(swa.start * epochs)) // swa.every + 1


def _has_term(*names: str) -> Callable[[Experiment], bool]:
    """Return a function that says whether one of some terms of the loss is switched on."""
    return lambda config: any(getattr(config.loss, name) > 0 for name in names)


def _has_auxiliary_logits(config: Experiment) -> bool:
    architecture = define_architecture(config.model.architecture)
    return config.model.deep_supervision or architecture.has_auxiliary_logits


RULES: tuple[Rule, ...] = (
    Rule("loss.label_smoothing", _has_term("cross_entropy"), "loss.cross_entropy is 0"),
    Rule("loss.positive_weights", _has_term("binary_cross_entropy"), "loss.binary_cross_entropy is 0"),
    Rule("loss.focal_gamma", _has_term("focal"), "loss.focal is 0"),
    Rule("loss.ohem_threshold loss.ohem_min_kept", _has_term("ohem"), "loss.ohem is 0"),
    Rule("loss.tversky_fp loss.tversky_fn", _has_term("tversky", "focal_tversky"), "no Tversky term is switched on"),
    Rule("loss.focal_tversky_gamma", _has_term("focal_tversky"), "loss.focal_tversky is 0"),
    Rule("loss.boundary_tolerance", _has_term("boundary"), "loss.boundary is 0"),
    Rule(
        "loss.auxiliary_weight",
        _has_auxiliary_logits,
        "the network has no auxiliary outputs (model.deep_supervision)",
    ),
    Rule("model.deep_supervision", lambda config: config.loss.auxiliary_weight > 0, "loss.auxiliary_weight is 0"),
    Rule("model.presence_head", _has_term("presence"), "loss.presence is 0, so it learns nothing"),
    Rule(
        "model.encoder_weights",
        lambda config: config.model.start_from is None or config.model.encoder_weights is None,
        "model.start_from takes its place",
    ),
    Rule(
        "optimizer.encoder_lr_scale optimizer.encoder_first_lr_scale",
        lambda config: config.optimizer.freeze_encoder_epochs < config.schedule.epochs,
        "the encoder is frozen in all epochs",
    ),
    Rule(
        "early_stopping",
        lambda config: config.early_stopping is None or config.early_stopping.patience < _count_validations(config),
        "its patience is not shorter than all validations",
    ),
    Rule(
        "ema", lambda config: config.ema is None or config.ema.decay > 0, "with decay 0 the average is the last weights"
    ),
    Rule(
        "swa",
        lambda config: config.swa is None or _count_averaged_epochs(config.swa, config.schedule.epochs) > 1,
        "it is the mean of one epoch, the last",
    ),
    Rule(
        "top_k",
        lambda config: config.top_k is None or config.top_k <= _count_validations(config),
        "there are fewer validations, so all validated epochs are kept",
    ),
    Rule(
        "keep_every",
        lambda config: config.keep_every is None or config.keep_every <= config.schedule.epochs,
        "there are fewer epochs, so none is kept",
    ),
    Rule("max_skipped", lambda config: config.on_non_finite == "skip", "on_non_finite is not skip"),
    Rule("cut_mix", lambda config: config.cut_mix is None or config.cut_mix.probability > 0, "its probability is 0"),
    Rule(
        "copy_paste",
        lambda config: config.copy_paste is None or config.copy_paste.probability > 0,
        "its probability is 0",
    ),
    Rule(
        "sampling.balance",
        lambda config: getattr(config.sampling.balance, "share", 1) > 0,
        "its share is 0",
    ),
    Rule(
        "distillation.pair_node",
        lambda config: config.distillation is None or config.distillation.pair > 0,
        "distillation.pair is 0",
    ),
    Rule(
        "distillation.critic_lr",
        lambda config: config.distillation is None or config.distillation.holistic > 0,
        "distillation.holistic is 0",
    ),
    Rule(
        "distillation.temperature",
        lambda config: config.distillation is None or config.distillation.pixel + config.distillation.holistic > 0,
        "only distillation.pair is above 0",
    ),
    Rule("debug_images", lambda config: config.debug is not None or config.batch_size == "auto", "debug is null"),
)

_FREEZING: tuple[tuple[str, Callable[[Experiment], bool]], ...] = (
    ("model.freeze_batch_norm", lambda config: config.model.freeze_batch_norm),
    ("optimizer.freeze_encoder_epochs", lambda config: config.optimizer.freeze_encoder_epochs > 0),
    ("optimizer.freeze_encoder_steps", lambda config: config.optimizer.freeze_encoder_steps > 0),
)
"""Settings that freeze weights, which makes no sense with random weights; and whether they are switched on."""


def _count_validations(config: Experiment) -> int:
    """Return the number of validations of a run that is not stopped early; with stages, of its last stage."""
    epochs = config.stages[-1].epochs if config.stages else config.schedule.epochs
    return epochs // config.validate_every


def describe_unused_settings(config: Experiment) -> Iterator[str]:
    """Yield a line for every setting that differs from its default and has no effect, or freezes random weights."""
    for rule in RULES:
        if rule.has_effect(config):
            continue
        for name in rule.settings.split():
            value = _find_value(config, name)
            if value != _find_default(config, name):
                yield f"{name}: {_format(value)} has no effect: {rule.reason}"
    if config.model.encoder_weights is None and config.model.start_from is None:
        for name, is_set in _FREEZING:
            if is_set(config):
                yield f"{name}: freezes random weights: model.encoder_weights and model.start_from are null"


def _find_value(config: Settings, name: str) -> Any:
    """Return the value of a dotted setting; None if there is no block that it could be in."""
    value: Any = config
    for key in name.split("."):
        value = None if value is None else getattr(value, key)
    return value


def _find_default(config: Settings, name: str) -> Any:
    """Return the default that a setting has in its block; None if there is no such block."""
    *blocks, last = name.split(".")
    block = _find_value(config, ".".join(blocks)) if blocks else config
    return None if block is None else type(block).model_fields[last].get_default(call_default_factory=True)


def _format(value: Any) -> str:
    return str(value.model_dump(mode="json")) if isinstance(value, Settings) else str(value)
