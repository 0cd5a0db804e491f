"""What `kill.py` trains: overrides of configs/experiments/toy_crop.yaml, tiny, but random in all that can be."""

CITY = [
    "data.fold_count=2",
    "data.dataset={kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 2, seed: 3}",
]

PHASES = (
    "before the first batch", "in training", "in validation", "while a checkpoint was written", "in the finish",
    "in prediction",
)  # fmt: skip
"""What the command may be doing when it is killed; `kill_watched.py` notes it."""

_TINY = [
    "view.train={kind: crop, size: [32, 32], scale: [0.7, 1.5]}", "augment=strong", "validate_every=1", "batch_size=2",
    "model={dropout: 0.2, options: {encoder_depth: 3, decoder_channels: [8, 8, 8]}}", "early_stopping=null",
    "schedule={kind: one_cycle, epochs: 5}",
]  # fmt: skip

TEACHER = [*_TINY, "schedule.epochs=2", "seed=9"]
"""The run that some setups learn from, or start from."""

_CHANGES = {
    "one cycle": [],
    "constant, early stopping": ["schedule=constant", "early_stopping={patience: 2}"],
    "cosine, linear warm-up": ["schedule={kind: cosine, linear_warm_up: 0.3}", "optimizer={kind: radam}"],
    "warm restarts, snapshots": ["schedule={kind: warm_restarts, cycles: 2}", "snapshots=true"],
    "poly, SGD": ["schedule=poly", "optimizer={kind: sgd, lr: 0.02, nesterov: true}"],
    "step, keep every": ["schedule=step", "keep_every=2"],
    "exponential, RMSprop": ["schedule=exponential", "optimizer={kind: rmsprop, lr: 0.001}"],
    "plateau": ["schedule={kind: plateau, patience: 0, factor: 0.5, metric: val_cross_entropy}"],
    "stages": [
        "schedule=cosine",
        "stages=[{epochs: 2}, {epochs: 2, train_view: {kind: crop, size: [32, 48]}, augment: light, batch_size: 3}, "
        "{epochs: 1, lr: 0.001}]",
    ],
    "EMA": ["ema={warm_up: 2}", "top_k=1"],
    "EMA aside": ["ema={validated: false, warm_up: 2}"],
    "SWA, average of the top": ["schedule=constant", "swa={start: 0.4}", "top_k=2"],
    "accumulation, clipping": ["accumulate=2", "clip_gradient_norm=1.0", "ema={}"],
    "distillation": ["distillation={teachers: [teacher], holistic: 0.1}"],
    "two processes": ["devices=2", "accumulate=2", "ema={warm_up: 2}", "swa={start: 0.4}"],
    "lookahead": ["optimizer.lookahead={steps: 2}"],
    "freeze steps": ["optimizer.freeze_encoder_steps=5"],
    "freeze epochs, start from a run": ["optimizer.freeze_encoder_epochs=2", "model.start_from=TEACHER"],
    "sampling, mixing": [
        "sampling={samples_per_epoch: 8, oversample_below: 0.5, balance: class_crops}",
        "cut_mix={probability: 0.5}",
        "copy_paste={probability: 0.5, classes: {car: [background]}, min_pixels: 8}",
    ],
    "cache, skipping, no validation of odd epochs": [
        "cache=RUNS/cache", "on_non_finite=skip", "schedule.epochs=6", "validate_every=2",
    ],
    "bf16, whole frames": ["precision=bf16", "view.train={kind: full}"],
}  # fmt: skip

SETUPS = {name: [*_TINY, *changes] for name, changes in _CHANGES.items()}
