"""Verbs that predict: the images of a run, any pictures, videos."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from foldseg import ending
from foldseg.cli import panels
from foldseg.cli.arguments import (
    CheckpointOption,
    DeviceOption,
    Overrides,
    Run,
    TtaOption,
    parse_output,
    parse_path,
    parse_score,
    split_words,
)

Form = Literal["masks", "colours", "overlay", "probabilities"]
"""What is written of a predicted picture."""

Source = Annotated[
    Path,
    typer.Argument(
        parser=parse_path,
        metavar="SOURCE",
        help="A run, an experiment (the mean of its folds), a submission or an exported X.onnx.",
    ),
]
ExperimentRuns = Annotated[
    Path,
    typer.Argument(
        parser=parse_path, metavar="RUNS", help="A run or an experiment: runs/EXPERIMENT/fold_K or runs/EXPERIMENT."
    ),
]
Alpha = Annotated[float, typer.Option(min=0.0, max=1.0, help="Opacity of the colours of an overlay.")]


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    add = app.command
    add(
        rich_help_panel=panels.PREDICTION,
        epilog="Example: foldseg predict runs/toy_crop/fold_0 --tta flip view.predict='{kind: full}'",
    )(predict)
    add(
        "predict-images",
        rich_help_panel=panels.PREDICTION,
        epilog="Example: foldseg predict-images runs/toy_crop data/toy_city/seg_test_images --out predicted",
    )(predict_images)
    add(
        "predict-video",
        rich_help_panel=panels.PREDICTION,
        epilog="Example: foldseg predict-video runs/toy_crop data/toy_city/seg_test_images toy.mp4 --fps 5",
    )(predict_video)
    add("tta-gains", rich_help_panel=panels.PREDICTION, epilog="Example: foldseg tta-gains runs/toy_crop --tta flip")(
        tta_gains
    )


def predict(
    run: Run,
    overrides: Overrides = None,
    split: Annotated[Literal["oof", "test", "both"], typer.Option(help="Which images are predicted.")] = "both",
    tta: TtaOption = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
    predictions: Annotated[
        Literal["probabilities", "logits"] | None, typer.Option(help="What the stores hold. Default: as the run says.")
    ] = None,
) -> None:
    """Predict the OOF and test images of a finished run, as far as they are missing."""
    from foldseg.deploy.interface import parse_options
    from foldseg.inference.run_stores import SPLITS, overridden_view, predict_run
    from foldseg.runs.kinds import open_run

    folder = open_run(run)
    options = parse_options(overrides or (), tta, device, checkpoint)
    view, splits = overridden_view(folder, options.view), SPLITS if split == "both" else (split,)
    predict_run(folder, splits, options.tta, device, view, checkpoint or "best", predictions)


def predict_images(
    source: Source,
    words: Annotated[
        list[str],
        typer.Argument(metavar="PICTURE|FOLDER|KEY=VALUE", help="Pictures and folders of pictures; view.predict=VIEW."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            parser=parse_output, metavar="FOLDER", help="The folder to write: new, or begun by the same command."
        ),
    ],
    form: Annotated[Form, typer.Option("--as", help="What is written of each picture.")] = "masks",
    alpha: Alpha = 0.5,
    white_level: Annotated[
        int | None, typer.Option(help="Value of white in 16-bit pictures, e.g. 4095 for 12 bits.")
    ] = None,
    tta: TtaOption = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
) -> None:
    """Predict any pictures with a run, an experiment, a finished ensemble or an exported file."""
    from foldseg.deploy.images import predict_images as write_predictions
    from foldseg.deploy.interface import parse_options
    from foldseg.deploy.picture_files import find_pictures
    from foldseg.deploy.sources import open_source

    paths, overrides = split_words(words)
    pictures = find_pictures(paths, out)
    opened = open_source(source, parse_options(overrides, tta, device, checkpoint))
    write_predictions(opened, pictures, out, form, alpha, white_level)


def predict_video(
    source: Source,
    video: Annotated[
        Path, typer.Argument(parser=parse_path, metavar="VIDEO", help="A video, or a folder of frames of one size.")
    ],
    out: Annotated[Path, typer.Argument(parser=parse_output, metavar="MP4", help="The video to write.")],
    overrides: Overrides = None,
    scale: Annotated[
        float | None, typer.Option(help="Resize frames by this factor before the network sees them.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of a folder of frames. Default: 10.")] = None,
    alpha: Alpha = 0.5,
    side_by_side: Annotated[bool, typer.Option(help="Show the original frame on the left.")] = False,
    tta: TtaOption = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
) -> None:
    """Write a video, or a folder of frames, with predictions laid over it."""
    ending.begin_anew_after_interruption()
    for name, value in (("--scale", scale), ("--fps", fps)):
        if value is not None and not 0 < value < float("inf"):
            raise typer.BadParameter(f"{value:g} is not above 0", param_hint=name)
    from foldseg.deploy.interface import parse_options
    from foldseg.deploy.sources import open_source
    from foldseg.deploy.video import DrawingOptions
    from foldseg.deploy.video import predict_video as write_video
    from foldseg.outputs import check_output

    check_output(out, ".mp4", [source, video])
    resized = [] if scale is None else [f"view.predict={{kind: resized, factor: {scale}}}"]
    opened = open_source(source, parse_options([*(overrides or ()), *resized], tta, device, checkpoint))
    write_video(opened, video, out, DrawingOptions(alpha, side_by_side), fps)


def tta_gains(
    runs: ExperimentRuns,
    overrides: Overrides = None,
    tta: TtaOption = None,
    score: Annotated[
        Any,
        typer.Option(
            parser=parse_score, metavar="SCORE", help="The score to compare by. Default: what the runs monitor."
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
) -> None:
    """Show what each view of test-time augmentation gains on OOF, and which to leave out."""
    from foldseg.deploy.interface import parse_options
    from foldseg.inference.run_stores import overridden_view
    from foldseg.report import tta_gains as report
    from foldseg.runs.kinds import open_runs

    folders = open_runs(runs)
    options = parse_options(overrides or (), tta or "d4", device, checkpoint)
    view = overridden_view(folders[0], options.view)
    gains = report.measure_tta_gains(folders, options.tta, view, checkpoint or "best", device, score)
    print(report.format_gains(gains))
