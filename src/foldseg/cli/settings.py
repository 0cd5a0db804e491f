"""The verb that looks up settings."""

import json
from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import parse_output


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(rich_help_panel=panels.OTHER, epilog="Example: foldseg settings schedule")(settings)


def settings(
    block: Annotated[
        str | None, typer.Argument(help="A block, e.g. schedule. Without it, all blocks are listed.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(parser=parse_output, metavar="FILE", help="Write the reference page of all blocks.")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(parser=parse_output, metavar="FILE", help="Write a JSON schema for editors.")
    ] = None,
) -> None:
    """Look up settings: the values, default and meaning of each."""
    from foldseg.config import reference
    from foldseg.config.json_schema import yaml_schema
    from foldseg.config.reference_text import block_text, blocks_text, page
    from foldseg.files import write_text
    from foldseg.outputs import check_output

    if markdown:
        check_output(markdown, ".md", begins="# Settings\n")
    if schema:
        check_output(schema, ".json", begins=r'\{\s*"\$schema"')
    if markdown:
        write_text(markdown, page())
    if schema:
        write_text(schema, json.dumps(yaml_schema(), indent=1) + "\n")
    if not (markdown or schema):
        print(block_text(reference.block(block)) if block else blocks_text())
