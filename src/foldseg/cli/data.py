"""Verbs about data: folds, and what a network is trained on."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import ExperimentFile, Overrides, parse_output, parse_path


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(rich_help_panel=panels.DATA, epilog="Example: foldseg check configs/data/camvid.yaml")(check)
    app.command(rich_help_panel=panels.DATA, epilog="Example: foldseg folds configs/data/camvid.yaml")(folds)
    app.command(
        "show-batch",
        rich_help_panel=panels.DATA,
        epilog="Example: foldseg show-batch configs/experiments/toy_crop.yaml --out batch.png",
    )(show_batch)


def check(
    config: Annotated[Path, typer.Argument(parser=parse_path, metavar="DATA", help="A data set: configs/data/X.yaml.")],
    overrides: Overrides = None,
    exclude: Annotated[
        Path | None,
        typer.Option(parser=parse_output, metavar="CSV", help="Write images with problems to it, for data.exclude."),
    ] = None,
) -> None:
    """Read every image and mask once, and say what is wrong with them and what cures it."""
    from foldseg.config import load_data
    from foldseg.data.check import check_data
    from foldseg.data.datasets import DataSet, select_divided
    from foldseg.errors import FoldsegError
    from foldseg.files import write_text
    from foldseg.outputs import check_output

    data = DataSet(load_data(config, overrides or ()))
    if exclude is not None:
        check_output(exclude, ".csv", [data.root], ("id", "reason"))
    found = check_data(data)
    print(f"{data.root}: {found.images} images, {found.masks} with a mask")
    print(found.classes.to_string(index=False, formatters={"share": "{:.2%}".format}))
    for remark in found.remarks:
        print(f"note: {remark}")
    if exclude is not None and found.problems:
        write_text(exclude, found.bad_images.to_csv(index=False, lineterminator="\n"))
        print(f"{exclude}: {len(found.bad_images)} images, for data.exclude={exclude}")
    if found.problems:
        bad = len(found.bad_images)
        raise FoldsegError(f"{data.root}: {bad} of {found.images} images cannot be used:\n{found.describe_problems()}")
    select_divided(data.samples, data.settings)  # an error if images that are trained on have no masks
    print("no problems")


def folds(
    config: Annotated[Path, typer.Argument(parser=parse_path, metavar="DATA", help="A data set: configs/data/X.yaml.")],
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option(help="If there is a leak, write nothing and exit with 1.")] = False,
) -> None:
    """Divide the images of a data set into folds, and look for leaks between them."""
    from foldseg.config import load_data
    from foldseg.data.folds_file import make_folds_file

    make_folds_file(load_data(config, overrides or ()), strict)


def show_batch(
    config: ExperimentFile,
    overrides: Overrides = None,
    fold: Annotated[int, typer.Option(help="The fold whose training images are drawn.")] = 0,
    out: Annotated[Path, typer.Option(parser=parse_output, metavar="PNG", help="The picture to write.")] = Path(
        "batch.png"
    ),
    all_augmentations: Annotated[bool, typer.Option(help="Draw a row for each set of augmentations.")] = False,
    images: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 6,
    epoch: Annotated[int, typer.Option(min=0, help="The epoch whose samples are drawn.")] = 0,
) -> None:
    """Draw what the network is trained on: samples with their masks, as they are cut and augmented."""
    from foldseg.config import load_experiment
    from foldseg.outputs import check_output

    experiment = load_experiment(config, overrides or ())
    sources = [folder for source in experiment.sampling.sources for folder in (source.images, source.masks)]
    check_output(out, ".png", [experiment.data.root, *sources])
    from foldseg.report.batch import draw_augmentations, draw_batch
    from foldseg.report.figures import save_png
    from foldseg.views.augment import AUGMENTATIONS

    if all_augmentations:
        figure = draw_augmentations(experiment, fold, list(AUGMENTATIONS), images, epoch)
    else:
        figure = draw_batch(experiment, fold, images, epoch)
    save_png(figure, out)
