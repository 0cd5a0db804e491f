"""The verb that proposes configurations for the data of a person."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import parse_path


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(rich_help_panel=panels.DATA, epilog="Example: foldseg new data/cells --name cells")(new)


def new(
    folder: Annotated[
        Path,
        typer.Argument(parser=parse_path, metavar="FOLDER", help="The folder with images and masks."),
    ],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the data set, and of its first experiment and ensemble.")
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", parser=parse_path, metavar="SOURCE",
            help="Annotations of a tool (COCO, labelme, ...), or a CSV. They are imported into FOLDER; see import.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FOLDER", help="With --from: where images are, if not beside the annotations."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace configurations of this name.")] = False,
) -> None:  # fmt: skip
    """Look at your images and masks, and write a data set, a first experiment and a first ensemble for them."""
    from foldseg.discovery.new_data import propose, write_configurations

    proposal = propose(folder, name, source, images)
    paths = write_configurations(proposal, Path("configs"), overwrite)
    print("Found:", *proposal.found, sep="\n  - ")
    if proposal.unseen:
        print("Not to be seen in the files:", *proposal.unseen, sep="\n  - ")
    print(f"Written: {', '.join(map(str, paths.values()))}")
    if not proposal.has_masks:
        print("No masks were found: describe in the first file where they are, before you train")
    print("Next:")
    for command in (
        f"foldseg check {paths['data']}",
        f"foldseg folds {paths['data']}",
        f"foldseg train {paths['experiment']} all",
        f"foldseg ensemble {paths['ensemble']}",
    ):
        print(f"  {command}")
