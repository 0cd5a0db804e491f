"""Verbs for contest kernels without internet: predict a hidden test set in time, bundle all that this needs."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import DeviceOption, Overrides, parse_output, parse_path


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    add = app.command
    add(
        "predict-test",
        rich_help_panel=panels.ENSEMBLES,
        epilog="Example: foldseg predict-test submissions/toy hidden.json data.root=data/toy_city --time-limit 9h",
    )(predict_test)
    add(
        "bundle",
        rich_help_panel=panels.ENSEMBLES,
        epilog="Example: foldseg bundle submissions/toy toy.zip --no-wheels",
    )(bundle)


def predict_test(
    submission: Annotated[
        Path,
        typer.Argument(parser=parse_path, metavar="SUBMISSION", help="A finished ensemble's folder: submissions/X."),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            parser=parse_output, metavar="OUT", help="The submission to write: a file or folder of its format."
        ),
    ],
    overrides: Overrides = None,
    images: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FOLDER", help="Predict all pictures of this folder, not those of data.root."
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Be ready in this time, e.g. 9h or 1h30m; leave parts out if needed."),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Predict test images of another folder with a finished ensemble, and write and validate the submission.

    If the time limit would be missed, test-time augmentation is left out, then members from the least weight on, then
    folds of the last member. What was left out is said. If even a single network is too slow, nothing is written.
    """
    import os
    import time

    from foldseg.deploy.bundle_run import STARTED
    from foldseg.deploy.time_limit import parse_duration

    now = time.time()
    try:
        limit = None if time_limit is None else parse_duration(time_limit)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--time-limit") from None
    from foldseg.deploy.hidden_test import predict_hidden_test

    began = float(os.environ.get(STARTED) or now)
    print(predict_hidden_test(submission, out, overrides or (), images, limit, began, device))


def bundle(
    source: Annotated[
        Path,
        typer.Argument(
            parser=parse_path, metavar="SOURCE", help="A finished ensemble: submissions/X. With --train also X.yaml."
        ),
    ],
    out: Annotated[Path, typer.Argument(parser=parse_output, metavar="ZIP", help="The file to write.")],
    train: Annotated[
        bool, typer.Option("--train", help="Bundle what training needs: experiments, folds, all packages.")
    ] = False,
    wheels: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FOLDER",
            help="Take wheels from this folder. Default: pip gets those that are installed.",
        ),
    ] = None,
    with_torch: Annotated[bool, typer.Option(help="Bundle torch and torchvision, too. They have 1 to 4 GB.")] = False,
    bare: Annotated[bool, typer.Option("--no-wheels", help="Bundle foldseg's own wheel alone.")] = False,
) -> None:
    """Write a zip with weights, settings, wheels and run.py: all that a machine without internet needs."""
    from foldseg.deploy.bundle import write_bundle
    from foldseg.outputs import check_output

    check_output(out, ".zip", [source, wheels])
    print(write_bundle(source, out, train=train, wheels=wheels, with_torch=with_torch, bare=bare))
