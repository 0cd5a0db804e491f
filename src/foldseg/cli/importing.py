"""The verb that imports annotations of other tools."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import parse_output, parse_path


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(
        "import",
        rich_help_panel=panels.DATA,
        epilog="Example: foldseg import exported/labelme data/streets",
    )(import_)


def import_(
    source: Annotated[
        Path,
        typer.Argument(
            parser=parse_path, metavar="SOURCE", help="A folder, file or archive that an annotation tool exported."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(parser=parse_output, metavar="FOLDER", help="The folder to write; it becomes data.root.")
    ],
    name: Annotated[str | None, typer.Option(help="Title of the report. Default: the name of FOLDER.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FOLDER", help="Where the images are, if they do not lie beside the annotations."
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FILE", help="A class file (labelmap.txt, ...), if SOURCE names no classes."
        ),
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", help="The format, where several recognise SOURCE: coco, labelme, ...")
    ] = None,
    overlapping: Annotated[
        bool, typer.Option("--overlapping", help="Let classes overlap: at most 7, a bit for each in the masks.")
    ] = False,
    unlabelled_is_void: Annotated[
        bool, typer.Option("--unlabelled-is-void", help="Make pixels without any shape void. Default: background.")
    ] = False,
    line_width: Annotated[
        int | None,
        typer.Option(min=1, metavar="PIXELS", help="Width of lines. Default: as the tool draws them, or left out."),
    ] = None,
    reduce_zero_label: Annotated[
        bool, typer.Option("--reduce-zero-label", help="Make the id 0 void, as MMSegmentation's setting does.")
    ] = False,
) -> None:
    """Draw annotations of another tool into masks, once, with a samples table and a report."""
    from foldseg.importing.annotations import ImportSettings
    from foldseg.importing.importer import import_annotations

    settings = ImportSettings(
        images,
        classes,
        overlapping,
        "void" if unlabelled_is_void else "background",
        line_width,
        reduce_zero_label,
    )
    result = import_annotations(source, out, settings, format_name=format_name, name=name or "")
    splits = ", ".join(f"{split} {count}" for split, count in result.splits.items())
    print(f"{result.format}: {result.images} images ({splits}), {result.with_mask} with a mask")
    print(f"classes: {', '.join(entry['name'] for entry in result.classes)}")
    print(f"{result.table}: the samples; {result.folder / 'classes.yaml'}: the classes")
    print(f"{result.report}: open it in a browser and look whether masks and images fit")
