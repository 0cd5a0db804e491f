"""Verbs about scores."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import CsvOption, Overrides, SizeOption, parse_path
from foldseg.config.schema import ScoreName


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    add = app.command
    add(
        rich_help_panel=panels.SCORES,
        epilog="Example: foldseg score configs/data/camvid.yaml submissions/camvid/labels --per-image scores.csv",
    )(score)
    add(rich_help_panel=panels.SCORES, epilog="Example: foldseg verify submissions/toy --from-stores")(verify)
    add(rich_help_panel=panels.SCORES, epilog="Example: foldseg compare runs/toy_full runs/toy_crop submissions/toy")(
        compare
    )


def score(
    truth: Annotated[
        Path,
        typer.Argument(parser=parse_path, metavar="TRUTH", help="configs/data/X.yaml, a .json or a folder of PNGs"),
    ],
    prediction: Annotated[
        Path, typer.Argument(parser=parse_path, metavar="PREDICTION", help="A .json file or a folder of PNGs.")
    ],
    overrides: Overrides = None,
    data: Annotated[
        Path, typer.Option(parser=parse_path, metavar="DATA", help="Whose classes these are, if TRUTH is no YAML.")
    ] = Path("configs/data/signate.yaml"),
    allow_missing: Annotated[bool, typer.Option(help="Images that are missing score 0.")] = False,
    size: SizeOption = None,
    per_image: Annotated[
        Path | None, typer.Option(parser=parse_path, metavar="CSV", help="Write score and IoUs of every image.")
    ] = None,
) -> None:
    """Score a submission against a data set's masks, or against a submission that holds the truth."""
    from foldseg.config import load_data
    from foldseg.outputs import check_output

    is_config = truth.suffix in (".yaml", ".yml")
    loaded = load_data(truth if is_config else data, overrides or ())
    true_file = None if is_config else truth
    if per_image:
        check_output(per_image, ".csv", [prediction, true_file, loaded.root, loaded.folds], ("id", "score"))
    from foldseg.data.datasets import DataSet
    from foldseg.report.tables import submission_report
    from foldseg.submission.score import count_submission

    counted = count_submission(prediction, DataSet(loaded), true_file, allow_missing, size)
    if per_image:
        counted.write_per_image(per_image)
    print(submission_report(counted))


def verify(
    source: Annotated[
        Path,
        typer.Argument(parser=parse_path, metavar="SOURCE", help="runs/X/fold_K, runs/X or submissions/X"),
    ],
    from_stores: Annotated[
        bool, typer.Option(help="Blend and fit an ensemble anew, and compare all of its score.json.")
    ] = False,
) -> None:
    """Compute every score of a run, experiment or submission again, and compare with what its files state.

    A run validated in floating point, and its stores are quantised: small differences are shown, and are no error. But
    score.json and the row of the ledger have to agree to 1e-9 (the ledger has six decimals), and images, masks, weights
    and classes have to be those that the submission was made from. Otherwise the exit status is 1.
    """
    from foldseg.data.datasets import OpenedData
    from foldseg.report import recompute

    opened = OpenedData()
    if from_stores:
        statements = recompute.remake(source, opened)
        print(recompute.statements_text(statements))
    else:
        recomputed = recompute.recompute(source, opened)
        print(recompute.recomputed_text(recomputed))
        statements = recomputed.statements
    recompute.require_fresh(source, opened)
    recompute.require_equal(statements)


def compare(
    first: Annotated[
        Path, typer.Argument(parser=parse_path, metavar="FIRST", help="What the others are compared with.")
    ],
    others: Annotated[list[Path], typer.Argument(parser=parse_path, metavar="OTHER")],
    score: Annotated[ScoreName | None, typer.Option(help="Default: what FIRST was made for.")] = None,
    csv: CsvOption = None,
) -> None:
    """Compare runs, experiments or submissions on the same OOF images, with intervals and P(better).

    "P(better)" is above 0.975 exactly where the 95% interval of the difference lies above 0.
    """
    from foldseg.files import write_text
    from foldseg.outputs import check_output

    sources = [first, *others]
    if csv:
        check_output(csv, ".csv", sources, ("source", "class", "score"))
    from foldseg.report.compare import compare as compare_sources
    from foldseg.report.compare import comparison_text

    compared = compare_sources(sources, score)
    if csv:
        write_text(csv, compared.table.to_csv(index=False, lineterminator="\n"))
    print(comparison_text(compared))
