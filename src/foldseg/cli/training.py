"""Verbs about training."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import CsvOption, Device, ExperimentFile, Overrides, Run, SizeOption, parse_path


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(
        rich_help_panel=panels.TRAINING,
        epilog="Example: foldseg train configs/experiments/toy_crop.yaml 0 optimizer.lr=3e-4 name=toy_crop_lr3e-4",
    )(train)
    app.command(rich_help_panel=panels.TRAINING, epilog="Example: foldseg soup runs/toy_crop/fold_0")(soup)
    app.command(
        "show-network",
        rich_help_panel=panels.TRAINING,
        epilog="Example: foldseg show-network configs/experiments/toy_full.yaml --size 256x256",
    )(show_network)


def train(
    config: ExperimentFile,
    fold: Annotated[str, typer.Argument(help="The fold to validate on, or `all`.")],
    overrides: Overrides = None,
    accept_changed_data: Annotated[
        bool, typer.Option(help="Keep runs whose images, masks or classes have changed. provenance.json records it.")
    ] = False,
) -> None:
    """Train one fold or all, and predict OOF and test images. The same command goes on where it was stopped."""
    from foldseg.config import load_experiment

    experiment = load_experiment(config, overrides or ())
    from foldseg.data.datasets import OpenedData
    from foldseg.inference.run_stores import predict_run
    from foldseg.training.fit import train_fold
    from foldseg.training.open_fold import parse_fold_numbers

    opened = OpenedData()
    for number in parse_fold_numbers(fold, opened.open(experiment.data)):
        run = train_fold(experiment, number, opened, accept_changed_data=accept_changed_data)
        predict_run(run, opened=opened)


def soup(
    run: Run,
    of: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A checkpoint to average. May be repeated. Default: all of them."),
    ] = None,
    uniform: Annotated[bool, typer.Option(help="Average all of them, whatever they score.")] = False,
    device: Annotated[Device, typer.Option(help="Where the network computes.")] = "auto",
) -> None:
    """Average those checkpoints of a run that help on OOF into one more checkpoint, `soup`."""
    from foldseg.runs.kinds import open_run
    from foldseg.training.soup import make_soup

    folder = open_run(run)
    taken = make_soup(folder, of or [], greedy=not uniform, device=device)
    print(f"{folder.checkpoint('soup')}: the mean of {', '.join(taken)}")


def show_network(
    configs: Annotated[
        list[Path], typer.Argument(parser=parse_path, metavar="EXPERIMENT", help="configs/experiments/X.yaml; several.")
    ],
    size: SizeOption = None,
    device: Annotated[Device, typer.Option(help="Where the network computes.")] = "auto",
    csv: CsvOption = None,
) -> None:
    """Show parameters, operations, memory and latency of networks, beside published figures."""
    from foldseg.config import load_experiment
    from foldseg.files import write_text
    from foldseg.outputs import check_output

    if csv:
        check_output(csv, ".csv", configs, ("experiment", "architecture", "encoder"))
    experiments = [load_experiment(path) for path in configs]
    from foldseg.report.network_costs import PUBLISHED, format_costs, measure_networks

    table = measure_networks(experiments, size or (512, 512), device, PUBLISHED)
    if csv:
        write_text(csv, table.to_csv(index=False, lineterminator="\n"))
    print(format_costs(table))
