"""The verb that looks up commands."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import parse_output


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(rich_help_panel=panels.OTHER, epilog="Example: foldseg commands")(commands)


def commands(
    context: typer.Context,
    markdown: Annotated[
        Path | None, typer.Option(parser=parse_output, metavar="FILE", help="Write the reference page of all commands.")
    ] = None,
) -> None:
    """Look up commands: usage and an example of each."""
    from foldseg.cli.reference import describe_verbs
    from foldseg.cli.reference_text import page, verbs_text
    from foldseg.files import write_text

    verbs = describe_verbs(context.find_root().command)
    if markdown:
        write_text(markdown, page(verbs))
    else:
        print(verbs_text(verbs))
