"""Verbs that write a run's network for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg import ending
from foldseg.cli import panels
from foldseg.cli.arguments import CheckpointOption, Overrides, Run, SizeOption, parse_output, parse_path


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    add = app.command
    add(
        "export-onnx",
        rich_help_panel=panels.OTHER,
        epilog="Example: foldseg export-onnx runs/toy_crop/fold_0 toy.onnx --check",
    )(export_onnx)
    add(
        "export-encoder",
        rich_help_panel=panels.OTHER,
        epilog="Example: foldseg export-encoder runs/toy_crop/fold_0 weights/toy.pth",
    )(export_encoder)


def export_onnx(
    run: Run,
    out: Annotated[Path, typer.Argument(parser=parse_output, metavar="ONNX", help="The file to write.")],
    overrides: Overrides = None,
    checkpoint: CheckpointOption = None,
    size: SizeOption = None,
    check: Annotated[bool, typer.Option(help="Compare the file with the run, on frames of its data set.")] = False,
    pictures: Annotated[
        list[Path] | None,
        typer.Option(parser=parse_path, metavar="PICTURE", help="Compare on this picture or folder. May be repeated."),
    ] = None,
) -> None:
    """Write a run's network as an ONNX file, which predicts pictures and videos without torch."""
    ending.begin_anew_after_interruption()
    from foldseg.outputs import check_output

    check_output(out, ".onnx", [run])
    from foldseg.deploy.check_export import check_export, choose_images
    from foldseg.deploy.export import export_onnx as write_onnx
    from foldseg.deploy.picture_files import find_pictures
    from foldseg.inference.run_stores import overridden_view
    from foldseg.runs.kinds import open_run

    folder = open_run(run)
    chosen = [picture.path for picture in find_pictures(pictures, out)] if pictures else []
    write_onnx(folder, out, overridden_view(folder, overrides or ()), checkpoint or "best", size)
    if check or chosen:
        print(check_export(folder, out, chosen or choose_images(folder), checkpoint or "best"))


def export_encoder(
    run: Run,
    out: Annotated[Path, typer.Argument(parser=parse_output, metavar="PTH", help="The file to write.")],
) -> None:
    """Write the weights of a run's encoder, for another experiment's `model.encoder_weights`."""
    from foldseg.outputs import check_output

    check_output(out, ".pth", [run])
    from foldseg.runs.kinds import open_run
    from foldseg.training.transfer import export_encoder as write_encoder

    write_encoder(open_run(run), out)
