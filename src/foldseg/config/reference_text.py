"""The reference of settings as text for a terminal, and as the page `docs/reference/settings.md`."""

import textwrap

from foldseg.config.reference import BlockDoc, blocks

_HEAD = """# Settings

All settings, by block. This page is made by `scripts/settings.py --page docs/reference/settings.md` from the settings
classes. `scripts/settings.py BLOCK` shows one block in the terminal.

Sizes are [height, width] in pixels. Relative paths are relative to the working directory.

An editor that knows YAML completes and checks these settings with `configs/schema.json`: begin a file with
`# yaml-language-server: $schema=../schema.json`.
"""


def blocks_text() -> str:
    """List all blocks: a line each, with the first sentence of what it is."""
    width = max(map(len, blocks()))
    lines = [
        f"{name:{width}}  {block.meaning.splitlines()[0] if block.meaning else ''}" for name, block in blocks().items()
    ]
    return "\n".join([*lines, "", "scripts/settings.py BLOCK shows one."])


def block_text(block: BlockDoc) -> str:
    """Show one block: a paragraph per setting."""
    lines = [block.meaning, ""]
    if block.used_in:
        lines += [f"stands in: {', '.join(block.used_in)}", ""]
    for setting in block.settings:
        default = f"  (default: {setting.default})" if setting.default else ""
        lines.append(f"{setting.name}: {setting.values}{default}")
        lines += textwrap.wrap(setting.meaning, 92, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def page() -> str:
    """Return the page of all blocks, as Markdown."""
    return "\n".join([_HEAD, *map(_section, blocks().values())])


def _section(block: BlockDoc) -> str:
    rows = [
        f"| `{setting.name}` | {_cell(setting.values)} | {_cell(setting.default)} | {_cell(setting.meaning)} |"
        for setting in block.settings
    ]
    used = [f"Stands in: {', '.join(f'`{key}`' for key in block.used_in)}.", ""] if block.used_in else []
    table = ["| setting | values | default | meaning |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([f"## {block.name}", "", block.meaning, "", *used, *table, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
