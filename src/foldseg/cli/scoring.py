"""Verbs about scores."""

from pathlib import Path
from typing import Annotated, Any

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import CsvOption, FormatOption, Overrides, SizeOption, parse_output, parse_path, parse_score


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    add = app.command
    add(
        rich_help_panel=panels.SCORES,
        epilog="Example: foldseg score configs/data/camvid.yaml my_labels --per-image scores.csv",
    )(score)
    add(rich_help_panel=panels.SCORES, epilog="Example: foldseg verify submissions/toy")(verify)
    add(rich_help_panel=panels.SCORES, epilog="Example: foldseg compare runs/toy_full runs/toy_crop submissions/toy")(
        compare
    )


def score(
    truth: Annotated[
        Path,
        typer.Argument(parser=parse_path, metavar="TRUTH", help="The truth: configs/data/X.yaml, or a submission."),
    ],
    prediction: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            metavar="PREDICTION",
            help="The prediction: a .csv, a .json, or a folder of PNGs or arrays.",
        ),
    ],
    overrides: Overrides = None,
    data: Annotated[
        Path,
        typer.Option(
            parser=parse_path, metavar="DATA", help="The data set whose classes these are, if TRUTH is no YAML file."
        ),
    ] = Path("configs/data/signate.yaml"),
    allow_missing: Annotated[bool, typer.Option(help="Let images that are missing score 0.")] = False,
    size: SizeOption = None,
    kind: FormatOption = None,
    true_kind: Annotated[
        str | None,
        typer.Option(
            "--truth-format", metavar="YAML", help="Format of TRUTH. Default: that of its ensemble, or --format."
        ),
    ] = None,
    per_image: Annotated[
        Path | None,
        typer.Option(
            parser=parse_output, metavar="CSV", help="Write the score and the IoUs of every image to this file."
        ),
    ] = None,
    chosen: Annotated[
        Any,
        typer.Option(
            "--score",
            parser=parse_score,
            metavar="SCORE",
            help="Show this score alone. It may be one of your own: FILE.py:FUNCTION.",
        ),
    ] = None,
) -> None:
    """Score a submission against a data set's masks, or against a submission that holds the truth."""
    from foldseg.config import load_data
    from foldseg.config.load import load_submission_kind
    from foldseg.outputs import check_output

    is_config = truth.suffix in (".yaml", ".yml")
    loaded = load_data(truth if is_config else data, overrides or ())
    true_file = None if is_config else truth
    settings = load_submission_kind(kind, "--format") if kind else None
    true_settings = load_submission_kind(true_kind, "--truth-format") if true_kind else None
    if per_image:
        check_output(per_image, ".csv", [prediction, true_file, loaded.root, loaded.folds], ("id", "score"))
    from foldseg.data.datasets import DataSet
    from foldseg.report.tables import format_submission_scores
    from foldseg.scoring.scores import check_score
    from foldseg.submission.submission_score import count_submission

    data_set = DataSet(loaded)
    if chosen:
        check_score(chosen, data_set.labels, "--score")
    counted = count_submission(prediction, data_set, true_file, allow_missing, size, settings, true_settings)
    if per_image:
        counted.write_per_image(per_image)
    print(format_submission_scores(counted, chosen))


def verify(
    source: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            metavar="SOURCE",
            help="A run, experiment or submission: runs/X/fold_K, runs/X or submissions/X.",
        ),
    ],
    from_stores: Annotated[
        bool, typer.Option(help="Blend and fit the ensemble anew, and compare every number of score.json.")
    ] = False,
) -> None:
    """Compute every score of a run, experiment or submission again, and compare with what its files state.

    The exit status is 1 if a number of score.json or of the ledger's row differs by more than 1e-9 (the ledger has six
    decimals), or if a submission was made from other images, masks, weights or classes than there are now. A run
    validates in floating point, while its stores are quantised, so its numbers may differ a little: this is shown, and
    is no error.
    """
    from foldseg.data.datasets import OpenedData
    from foldseg.report import recompute

    opened = OpenedData()
    if from_stores:
        statements = recompute.recompute_ensemble(source, opened)
        print(recompute.summarise_statements(statements), flush=True)
    else:
        recomputed = recompute.recompute(source, opened)
        print(recompute.format_recomputed(recomputed), flush=True)
        statements = recomputed.statements
    recompute.require_fresh(source, opened)
    recompute.require_equal(statements)


def compare(
    first: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            metavar="FIRST",
            help="The run, experiment or submission that the others are compared with.",
        ),
    ],
    others: Annotated[
        list[Path], typer.Argument(parser=parse_path, metavar="OTHER", help="Runs, experiments or submissions.")
    ],
    score: Annotated[
        Any,
        typer.Option(
            parser=parse_score, metavar="SCORE", help="The score to compare by. Default: what FIRST was made for."
        ),
    ] = None,
    csv: CsvOption = None,
) -> None:
    """Compare runs, experiments or submissions on the same OOF images, with intervals and P(better).

    P(better) is the probability that the other one is better than FIRST. It is above 0.975 exactly where the 95%
    interval of the difference lies above 0.
    """
    from foldseg.files import write_text
    from foldseg.outputs import check_output

    sources = [first, *others]
    if csv:
        check_output(csv, ".csv", sources, ("source", "class", "score"))
    from foldseg.report.compare import compare_sources, format_comparison

    compared = compare_sources(sources, score)
    if csv:
        write_text(csv, compared.table.to_csv(index=False, lineterminator="\n"))
    print(format_comparison(compared))
