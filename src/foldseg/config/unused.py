"""Settings that have no effect because of other settings. They are logged before training.

They are no error, since an experiment takes the settings of its bases, and may switch off the part that some of them
belong to. But nobody should wait for an effect that cannot come.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from foldseg.config.schema import Experiment, Swa
from foldseg.config.schema.base import Settings

Rule = tuple[str, Callable[[Experiment], bool], str]
"""Dotted settings, separated by blanks; whether they have an effect; the reason why not."""


def _count_averaged(swa: Swa, epochs: int) -> int:
    """Return the number of epochs whose weights an SWA averages."""
    return (epochs - 1 - math.ceil(swa.start * epochs)) // swa.every + 1


def _has_term(*names: str) -> Callable[[Experiment], bool]:
    return lambda config: any(getattr(config.loss, name) > 0 for name in names)


RULES: tuple[Rule, ...] = (
    ("loss.label_smoothing", _has_term("cross_entropy"), "loss.cross_entropy is 0"),
    ("loss.focal_gamma", _has_term("focal"), "loss.focal is 0"),
    ("loss.ohem_threshold loss.ohem_min_kept", _has_term("ohem"), "loss.ohem is 0"),
    ("loss.tversky_fp loss.tversky_fn", _has_term("tversky", "focal_tversky"), "no Tversky term is switched on"),
    ("loss.focal_tversky_gamma", _has_term("focal_tversky"), "loss.focal_tversky is 0"),
    ("loss.boundary_tolerance", _has_term("boundary"), "loss.boundary is 0"),
    (
        "loss.auxiliary_weight",
        lambda config: config.model.deep_supervision or config.model.architecture == "acfnet",
        "the network has no auxiliary outputs (model.deep_supervision)",
    ),
    ("model.deep_supervision", lambda config: config.loss.auxiliary_weight > 0, "loss.auxiliary_weight is 0"),
    ("model.presence_head", _has_term("presence"), "loss.presence is 0, so it learns nothing"),
    (
        "model.encoder_weights",
        lambda config: config.model.start_from is None or config.model.encoder_weights is None,
        "model.start_from takes its place",
    ),
    (
        "optimizer.encoder_lr_scale optimizer.encoder_first_lr_scale",
        lambda config: config.optimizer.freeze_encoder_epochs < config.schedule.epochs,
        "the encoder is frozen in all epochs",
    ),
    (
        "early_stopping",
        lambda config: config.early_stopping is None or config.early_stopping.patience < count_validations(config),
        "its patience is not shorter than all validations",
    ),
    ("ema", lambda config: config.ema is None or config.ema.decay > 0, "with decay 0 the average is the last weights"),
    (
        "swa",
        lambda config: config.swa is None or _count_averaged(config.swa, config.schedule.epochs) > 1,
        "it is the mean of one epoch, the last",
    ),
    (
        "top_k",
        lambda config: config.top_k is None or config.top_k <= count_validations(config),
        "there are fewer validations, so all validated epochs are kept",
    ),
    (
        "keep_every",
        lambda config: config.keep_every is None or config.keep_every <= config.schedule.epochs,
        "there are fewer epochs, so none is kept",
    ),
    ("max_skipped", lambda config: config.on_non_finite == "skip", "on_non_finite is not skip"),
    ("cut_mix", lambda config: config.cut_mix is None or config.cut_mix.probability > 0, "its probability is 0"),
    (
        "copy_paste",
        lambda config: config.copy_paste is None or config.copy_paste.probability > 0,
        "its probability is 0",
    ),
    (
        "sampling.balance",
        lambda config: getattr(config.sampling.balance, "share", 1) > 0,
        "its share is 0",
    ),
    (
        "distillation.pair_node",
        lambda config: config.distillation is None or config.distillation.pair > 0,
        "distillation.pair is 0",
    ),
    (
        "distillation.critic_lr",
        lambda config: config.distillation is None or config.distillation.holistic > 0,
        "distillation.holistic is 0",
    ),
    (
        "distillation.temperature",
        lambda config: config.distillation is None or config.distillation.pixel + config.distillation.holistic > 0,
        "only distillation.pair is above 0",
    ),
    ("debug_images", lambda config: config.debug is not None or config.batch_size == "auto", "debug is null"),
)

_FREEZING: tuple[tuple[str, Callable[[Experiment], bool]], ...] = (
    ("model.freeze_batch_norm", lambda config: config.model.freeze_batch_norm),
    ("optimizer.freeze_encoder_epochs", lambda config: config.optimizer.freeze_encoder_epochs > 0),
    ("optimizer.freeze_encoder_steps", lambda config: config.optimizer.freeze_encoder_steps > 0),
)


def count_validations(config: Experiment) -> int:
    """Return the number of validations in a run's last stage, the only one that may be stopped early."""
    epochs = config.stages[-1].epochs if config.stages else config.schedule.epochs
    return epochs // config.validate_every


def describe_unused_settings(config: Experiment) -> Iterator[str]:
    """Yield a line for every setting that differs from its default and has no effect, or not the intended one."""
    for names, has_effect, reason in RULES:
        if has_effect(config):
            continue
        for name in names.split():
            value = _value(config, name)
            if value != _default(config, name):
                text = value.model_dump(mode="json") if isinstance(value, Settings) else value
                yield f"{name}: {text} has no effect: {reason}"
    has_random_weights = config.model.encoder_weights is None and config.model.start_from is None
    if has_random_weights:
        for name, is_set in _FREEZING:
            if is_set(config):
                yield f"{name}: freezes random weights: model.encoder_weights and model.start_from are null"


def _value(config: Settings, name: str) -> Any:
    """Return the value of a dotted setting; None if a block around it is null."""
    value: Any = config
    for key in name.split("."):
        value = None if value is None else getattr(value, key)
    return value


def _default(config: Settings, name: str) -> Any:
    """Return the default of a dotted setting."""
    *blocks, last = name.split(".")
    block = _value(config, ".".join(blocks)) if blocks else config
    return None if block is None else type(block).model_fields[last].get_default(call_default_factory=True)
