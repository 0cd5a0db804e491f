"""What a step does, on a network of a few weights: freezing, skipping, logging, and going on exactly."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.utils.data import DataLoader

from foldseg.config import schema
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.errors import FoldsegError
from foldseg.losses import TERMS
from foldseg.models.network import SegmentationNetwork
from foldseg.scoring.counts import count_pixels
from foldseg.training.module import FoldModule
from foldseg.training.validation import Validation
from foldseg.views.eval_samples import EvalSample
from foldseg.views.geometry import Grid
from foldseg.views.train_samples import TrainBatch

LABELS = LabelSet(tuple(LabelClass(name, (i, i, i), (i,)) for i, name in enumerate(("road", "car", "sky"))))
EPOCHS, BATCHES = 4, 6


class Encoder(nn.Sequential):
    output_stride = 1
    out_channels = (3, 4)

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, super().forward(images)]


class Decoder(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.2))

    def forward(self, maps: list[Tensor]) -> Tensor:
        return super().forward(maps[-1])


class Tiny(nn.Module):
    """As small as a network in smp's manner can be."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = Encoder(), Decoder(), nn.Conv2d(4, len(LABELS), 1)

    def check_input_shape(self, images: Tensor) -> None:
        """Any will do."""


def experiment(**settings: Any) -> schema.Experiment:
    settings = {"schedule": {"epochs": EPOCHS}, "optimizer": {"lr": 0.02}, "workers": 0, **settings}
    return schema.Experiment.model_validate({
        "name": "tiny",
        "data": {"dataset": "camvid", "root": ".", "folds": "folds.csv"},
        "view": {"train": {"kind": "full"}, "predict": {"kind": "full"}},
        "early_stopping": None,
        **settings,
    })  # fmt: skip


def picture(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, 8, 8) and masks that can be learned from them, with some void."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 3, (count, 8, 8), np.uint8)
    images = (60 * masks[:, None] + rng.integers(0, 60, (count, 3, 8, 8))).astype(np.uint8)
    return torch.from_numpy(images), torch.from_numpy(np.where(rng.random(masks.shape) < 0.1, 255, masks))


def loaders() -> tuple[DataLoader[Any], DataLoader[Any]]:
    train = [TrainBatch(*picture(i, 2), [f"{i}a", f"{i}b"]) for i in range(BATCHES)]
    samples = [(f"v{i}", *picture(100 + i, 1)) for i in range(2)]
    grid = Grid((8, 8), (8, 8), (8, 8))
    validation = [EvalSample(name, images, masks[0].numpy(), grid) for name, images, masks in samples]
    return DataLoader(train, batch_size=None), DataLoader(validation, batch_size=None)  # type: ignore[arg-type]


class Notes(pl.callbacks.Checkpoint):
    """The rows of metrics, a checkpoint after an epoch, and whatever else a test wants to see at an epoch's end."""

    def __init__(self, save: Path | None = None, after: int = -1, look: Callable[[FoldModule], Any] | None = None):
        self.rows: list[dict[str, float]] = []
        self.seen: list[Any] = []
        self._save, self._after, self._look = save, after, look

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, FoldModule)
        self.rows.append(dict(pl_module.metrics))
        if self._look is not None:
            self.seen.append(self._look(pl_module))
        if trainer.current_epoch == self._after:
            trainer.save_checkpoint(self._save)


def module(config: schema.Experiment, change: Callable[[SegmentationNetwork], None] | None = None) -> FoldModule:
    torch.manual_seed(0)
    network = SegmentationNetwork(Tiny(), (0.5,) * 3, (0.3,) * 3)
    if config.loss.presence > 0:
        network.add_presence_head(len(LABELS))
    if change is not None:
        change(network)
    return FoldModule(config, LABELS, network, None)


def fit(module: FoldModule, notes: Notes | None = None, resume: Path | None = None) -> Notes:
    notes = notes or Notes()
    config = module.experiment
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=config.schedule.epochs,
        precision="bf16-mixed" if config.precision == "bf16" else None,
        plugins=[MixedPrecision("16-mixed", "cpu", GradScaler("cpu"))] if config.precision == "fp16" else None,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip_gradient_norm,
        callbacks=[notes],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=1,
    )
    trainer.fit(module, *loaders(), ckpt_path=resume, weights_only=True if resume else None)
    return notes


def weights(module: FoldModule) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


OPTIMIZERS, SCHEDULES = schema.Optimizer.kinds(), schema.Schedule.kinds()
CHOICES: dict[str, dict[str, Any]] = {
    **{f"loss {name}": {"loss": {name: 1.0}} for name in TERMS},
    "loss presence": {"loss": {"cross_entropy": 1.0, "presence": 0.5}, "model": {"presence_head": True}},
    "loss smoothing": {"loss": {"cross_entropy": 1.0, "label_smoothing": 0.1}},
    **{f"optimizer {name}": {"optimizer": {"kind": name, "lr": 0.02}} for name in OPTIMIZERS if name != "fused_adam"},
    "nesterov": {"optimizer": {"kind": "sgd", "nesterov": True}},
    "lookahead": {"optimizer": {"lookahead": {"steps": 4}, "lr": 0.02}},
    "frozen": {"optimizer": {"freeze_encoder_epochs": 3, "lr": 0.02}},
    "frozen lookahead": {"optimizer": {"freeze_encoder_epochs": 1, "lr": 0.02, "lookahead": {"steps": 4}}},
    "frozen for steps": {"optimizer": {"freeze_encoder_steps": 15, "lr": 0.02}},
    "frozen for steps, accumulating": {"optimizer": {"freeze_encoder_steps": 4, "lr": 0.02}, "accumulate": 2},
    "rates": {"optimizer": {"encoder_first_lr_scale": 0.1, "head_lr_scale": 5.0}},
    **{f"schedule {name}": {"schedule": {"kind": name, "epochs": EPOCHS}} for name in SCHEDULES if name != "plateau"},
    "schedule plateau": {"schedule": {"kind": "plateau", "epochs": EPOCHS, "patience": 0, "threshold": 0.3}},
    "warm-up": {"schedule": {"kind": "cosine", "epochs": EPOCHS, "linear_warm_up": 0.5}},
    "clipping": {"clip_gradient_norm": 0.1, "accumulate": 4},
    "skip": {"on_non_finite": "skip"},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16", "clip_gradient_norm": 1.0},
}


@pytest.mark.parametrize("choice", list(CHOICES))
def test_every_choice_is_stepped_and_goes_on_exactly_where_it_was(choice: str, tmp_path: Path) -> None:
    """Defects 9, 16 and 18: an option that crashes, or a state that is not in the checkpoint."""
    config = experiment(**CHOICES[choice])
    whole = module(config)
    before = weights(whole)
    notes = fit(whole, Notes(tmp_path / "x.ckpt", after=1))
    assert not same(weights(whole), before)
    assert all(math.isfinite(row["train_loss"]) for row in notes.rows)
    resumed = module(config)
    later = fit(resumed, resume=tmp_path / "x.ckpt")
    assert later.rows == notes.rows[2:]
    assert same(weights(resumed), weights(whole))


def test_a_plateau_of_the_validation_lowers_the_rate() -> None:
    settings = {"kind": "plateau", "epochs": EPOCHS, "patience": 0, "threshold": 9.0, "factor": 0.1}
    config = experiment(schedule=settings, optimizer={"lr": 1.0})
    notes = fit(module(config), Notes(look=lambda m: m.trainer.optimizers[0].param_groups[-1]["lr"]))
    # A score rises by more than 9 once, from nothing; then every epoch lowers the rate of the next but its first step
    assert notes.seen == pytest.approx([1, 1, 0.1, 0.01])


@pytest.mark.parametrize("metric", ["val_cross_entropy", "iou/car", "pixel_accuracy", None])
def test_a_plateau_watches_any_number_of_the_validation(metric: str | None) -> None:
    schedule = {"kind": "plateau", "epochs": EPOCHS, "metric": metric}
    held = module(experiment(schedule=schedule))
    rows = fit(held).rows
    sign = -1 if metric == "val_cross_entropy" else 1
    best = max(sign * row[metric or "dataset_miou"] for row in rows)
    schedule = held.lr_schedulers()  # type: ignore[assignment]
    assert schedule.best == pytest.approx(best)  # type: ignore[attr-defined]


def test_a_plateau_of_an_unknown_number_is_refused() -> None:
    config = experiment(schedule={"kind": "plateau", "epochs": 4, "metric": "iou/bus"})
    with pytest.raises(FoldsegError, match=r"schedule\.metric: unknown name 'iou/bus'; valid are .*iou/car"):
        module(config)


def test_a_frozen_encoder_stays_as_it_is_and_learns_when_thawed() -> None:
    """Defect 31: frozen, but its batch norm's statistics are not."""
    config = experiment(optimizer={"freeze_encoder_epochs": 2, "lr": 0.02})
    held = module(config)
    before = weights(held)
    notes = fit(held, Notes(look=weights))
    encoder = [name for name in before if ".encoder." in name]
    for epoch, after in enumerate(notes.seen):
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert {name for name in moved if name in encoder} == (set(encoder) if epoch >= 2 else set())
        assert "net.decoder.0.weight" in moved
        assert "net.decoder.1.running_mean" in moved


@pytest.mark.parametrize(("settings", "batches"), [({"freeze_encoder_steps": 9}, 9), ({"freeze_encoder_epochs": 1}, 6)])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_encoder_is_frozen_for_so_many_steps_of_the_optimiser(
    settings: dict[str, int], batches: int, accumulate: int
) -> None:
    held = module(experiment(optimizer={"lr": 0.02, **settings}, accumulate=accumulate))
    statistics = held.network.encoder[1].running_mean  # type: ignore[index]
    moved = []

    class Look(Notes):
        def on_train_batch_end(self, *_: Any) -> None:
            moved.append(bool(statistics.any()))

    fit(held, Look())
    frozen = batches * accumulate if "freeze_encoder_steps" in settings else batches
    assert moved == [batch >= frozen for batch in range(EPOCHS * BATCHES)]


class Spoiler(nn.Module):
    """Makes the encoder's maps NaN in some training batches, before they reach the batch norm."""

    def __init__(self, batches: set[int]) -> None:
        super().__init__()
        self.batches, self.count = batches, 0

    def forward(self, maps: Tensor) -> Tensor:
        if not self.training:
            return maps
        self.count += 1
        return maps * (float("nan") if self.count - 1 in self.batches else 1.0)


def spoil(*batches: int) -> Callable[[SegmentationNetwork], None]:
    def change(network: SegmentationNetwork) -> None:
        network.encoder.insert(1, Spoiler(set(batches)))  # type: ignore[operator]

    return change


def test_a_loss_that_is_not_finite_stops_the_run_by_name_of_its_images() -> None:
    with pytest.raises(FoldsegError, match=r"the loss is nan in epoch 1, on the images 2a, 2b; the last checkpoint"):
        fit(module(experiment(), spoil(8)))


def test_the_last_batch_of_an_epoch_is_checked_too() -> None:
    with pytest.raises(FoldsegError, match=r"the loss is nan in epoch 0, on the images 5a, 5b"):
        fit(module(experiment(), spoil(5)))


def overflow(*batches: int) -> Callable[[SegmentationNetwork], None]:
    """Make the gradient infinite in some batches, whose loss is finite."""

    def change(network: SegmentationNetwork) -> None:
        weight = network.net.segmentation_head.weight  # type: ignore[union-attr]
        calls = iter(range(99))
        weight.register_hook(lambda g: g * (math.inf if next(calls) in batches else 1))  # type: ignore[operator]

    return change


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_is_blamed_on_the_next_batch() -> None:
    with pytest.raises(FoldsegError, match=r"norm of the gradient is (inf|nan) in epoch 0, on the images 3a, 3b"):
        fit(module(experiment(), overflow(3)))


def test_a_gradient_is_blamed_on_all_batches_of_its_step() -> None:
    with pytest.raises(
        FoldsegError, match=r"norm of the gradient is (inf|nan) in epoch 0, on the images 2a, 2b, 3a, 3b"
    ):
        fit(module(experiment(accumulate=2), overflow(2)))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_steps_without_a_finite_gradient_are_left_out(accumulate: int, caplog: pytest.LogCaptureFixture) -> None:
    """Weights and running statistics are those from before the step; what is left of the epoch is trained on."""
    config = experiment(on_non_finite="skip", accumulate=accumulate, schedule={"kind": "constant", "epochs": 1})
    steps: list[dict[str, Tensor]] = []

    class EveryBatch(Notes):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
            steps.append(weights(pl_module))

    held = module(config, spoil(3))
    with caplog.at_level(logging.WARNING, "foldseg"):
        row = fit(held, EveryBatch()).rows[0]
    left_out = "3a, 3b" if accumulate == 1 else "2a, 2b, 3a, 3b"
    assert f"no finite gradient on the images {left_out}; step left out" in caplog.text
    assert same(steps[3], steps[2 if accumulate == 1 else 1])
    assert not same(steps[5], steps[3])
    assert all(bool(value.isfinite().all()) for value in weights(held).values())
    assert row["steps_skipped"] == 1
    assert math.isfinite(row["train_loss"])
    assert math.isfinite(row["grad_norm_max"])


def test_too_many_skipped_steps_in_a_row_stop_the_run() -> None:
    config = experiment(on_non_finite="skip", max_skipped=2)
    fit(module(config, spoil(0, 1, 3, 4)))
    message = r"max_skipped: 3 steps in a row had no finite gradient, the last in epoch 0 on the images 5a, 5b"
    with pytest.raises(FoldsegError, match=message):
        fit(module(config, spoil(0, 1, 3, 4, 5)))


@pytest.mark.parametrize("clip", [None, 0.05])
def test_gradient_norms_are_logged_as_they_were_before_clipping(clip: float | None) -> None:
    config = experiment(clip_gradient_norm=clip, schedule={"kind": "constant", "epochs": 2}, optimizer={"lr": 1e-9})
    found: list[list[float]] = [[], []]

    class Norms(Notes):
        def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            gradients = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
            found[trainer.current_epoch].append(float(torch.cat(gradients).norm()))

        def on_before_zero_grad(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            gradients = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
            if gradients and clip:
                assert float(torch.cat(gradients).norm()) == pytest.approx(clip, rel=1e-3)

    rows = fit(module(config), Norms()).rows
    for row, norms in zip(rows, found, strict=True):
        assert len(norms) == BATCHES
        assert min(norms) > 0.05
        assert row["grad_norm_mean"] == pytest.approx(sum(norms) / BATCHES, rel=1e-4)
        assert row["grad_norm_max"] == pytest.approx(max(norms), rel=1e-4)
        assert row["steps_skipped"] == 0
        assert "loss_scale" not in row


def test_fp16_logs_its_loss_scale_and_the_steps_that_its_scaler_left_out() -> None:
    """The negative result of a predecessor, "fp16 did not converge", must leave traces."""
    notes = fit(module(experiment(precision="fp16"), overflow(2, 7)))
    assert [row["steps_skipped"] for row in notes.rows] == [1, 1, 0, 0]
    assert [row["loss_scale"] for row in notes.rows] == [2**15, 2**14, 2**14, 2**14]
    assert all(0 < row["grad_norm_mean"] < 100 for row in notes.rows), "norms are of the unscaled gradients"


def test_fp16_skips_too() -> None:
    held = module(experiment(precision="fp16", on_non_finite="skip"), spoil(2, 7))
    assert [row["steps_skipped"] for row in fit(held).rows] == [1, 1, 0, 0]
    assert all(bool(value.isfinite().all()) for value in weights(held).values())


def samples(*sides: int) -> list[EvalSample]:
    """Images of 8 x side pixels."""
    found = []
    for number, side in enumerate(sides):
        images, masks = picture(number, 1)
        found.append(EvalSample(
            str(number), images[..., :side], masks[0, :, :side].numpy(), Grid((8, side), (8, side), (8, side))
        ))  # fmt: skip
    return found


@pytest.mark.parametrize(("size", "batches"), [(1, [1] * 7), (2, [2, 1, 1, 2, 1]), (3, [3, 1, 3]), (9, [3, 1, 3])])
def test_images_of_the_same_size_are_validated_together_and_counted_once(size: int, batches: list[int]) -> None:
    seen: list[int] = []

    def network(images: Tensor) -> Tensor:
        seen.append(len(images))
        return images.float() / 60

    frames = samples(8, 8, 8, 6, 8, 8, 8)
    validation = Validation(schema.FullView(kind="full"), LABELS, size)
    validation.start()
    for sample in frames:
        validation.add(network, sample)
    validation.predict_waiting(network)
    assert seen == batches
    predictions = [sample.inputs[0].float().argmax(0).to(torch.uint8).numpy() for sample in frames]
    expected = [count_pixels(s.mask, p, 3) for s, p in zip(frames, predictions, strict=True)]
    np.testing.assert_array_equal(validation.counts, expected)
    assert len(validation.pictures) == 3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_validating_together_changes_no_score(precision: str) -> None:
    rows = [fit(module(experiment(precision=precision, eval_batch_size=size))).rows for size in (1, 2, 5)]
    for one, *others in zip(*rows, strict=True):
        for other in others:
            assert other == pytest.approx(one, rel=1e-5, nan_ok=True)
