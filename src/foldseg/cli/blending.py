"""Verbs about ensembles and what they hand in."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import (
    EnsembleFile,
    FormatOption,
    Overrides,
    SizeOption,
    parse_class_share,
    parse_output,
    parse_path,
)


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    add = app.command
    add(
        rich_help_panel=panels.ENSEMBLES,
        epilog="Example: foldseg ensemble configs/ensembles/toy.yaml tta=[] name=toy_plain",
    )(ensemble)
    add(
        "show-ensemble",
        rich_help_panel=panels.ENSEMBLES,
        epilog="Example: foldseg show-ensemble configs/ensembles/toy.yaml summary.png",
    )(show_ensemble)
    add(
        "pseudo-labels",
        rich_help_panel=panels.ENSEMBLES,
        epilog="Example: foldseg pseudo-labels configs/ensembles/toy.yaml data/pseudo --confidence 0.8 --of signal=0.5",
    )(pseudo_labels)
    add(
        rich_help_panel=panels.ENSEMBLES,
        epilog="Example: foldseg convert submissions/toy/submission.json colours --data configs/data/toy_city.yaml",
    )(convert)


def ensemble(
    config: EnsembleFile,
    overrides: Overrides = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes that blend. It is the same as workers=N.")
    ] = None,
) -> None:
    """Blend runs, score the blend on OOF, write and validate its submission, add it to the ledger."""
    from foldseg.config import load_ensemble

    more = [] if workers is None else [f"workers={workers}"]
    loaded = load_ensemble(config, [*(overrides or ()), *more])
    from foldseg.ensemble.run import predict_ensemble
    from foldseg.report.tables import format_ensemble

    print(format_ensemble(predict_ensemble(loaded)))


def show_ensemble(
    config: EnsembleFile,
    out: Annotated[Path, typer.Argument(parser=parse_output, metavar="PNG", help="The picture to write.")],
    overrides: Overrides = None,
    image: Annotated[
        str | None, typer.Option(help="Id of an OOF image. Default: one of median score with many classes.")
    ] = None,
) -> None:
    """Draw a frame, its truth, what each member predicts, and the blend."""
    from foldseg.config import load_ensemble

    loaded = load_ensemble(config, overrides or ())
    from foldseg.report.ensemble_picture import write_ensemble_picture

    write_ensemble_picture(loaded, out, image)


def pseudo_labels(
    config: EnsembleFile,
    out: Annotated[
        Path, typer.Argument(parser=parse_output, metavar="FOLDER", help="The folder to write. It gets fold_K/ID.png.")
    ],
    overrides: Overrides = None,
    confidence: Annotated[float, typer.Option(min=0.0, max=1.0, help="A pixel of a lower probability is void.")] = 0.9,
    of: Annotated[
        list[str] | None, typer.Option(metavar="CLASS=P", help="Another confidence for one class. May be repeated.")
    ] = None,
) -> None:
    """Write labels of the test images where the members of an ensemble are sure, to train on, fold by fold."""
    from foldseg.config import load_ensemble

    loaded = load_ensemble(config, overrides or ())
    per_class = dict(map(parse_class_share, of or ()))
    from foldseg.ensemble.pseudo import write_pseudo_labels
    from foldseg.report.tables import format_shares

    print(format_shares(write_pseudo_labels(loaded, out, confidence, per_class)))


def convert(
    source: Annotated[
        Path, typer.Argument(parser=parse_path, metavar="SOURCE", help="A folder of RGB PNGs, a .json or a .csv.")
    ],
    destination: Annotated[
        Path, typer.Argument(parser=parse_output, metavar="DESTINATION", help="The .json or folder to write.")
    ],
    overrides: Overrides = None,
    data: Annotated[
        Path,
        typer.Option(parser=parse_path, metavar="DATA", help="The data set whose colours and test images these are."),
    ] = Path("configs/data/signate.yaml"),
    check: Annotated[bool, typer.Option(help="Require all test images of the data set, and no others.")] = True,
    size: SizeOption = None,
    kind: FormatOption = None,
) -> None:
    """Convert a folder of colour PNGs to the AI Edge Contest's JSON, or a submission that is a file to colour PNGs."""
    from foldseg.config import load_data
    from foldseg.config.load import load_submission_kind
    from foldseg.data.datasets import DataSet
    from foldseg.submission.conversion import convert_submission

    settings = load_submission_kind(kind, "--format") if kind else None
    convert_submission(source, destination, DataSet(load_data(data, overrides or ())), size, check, settings)
