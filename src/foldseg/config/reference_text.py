"""The reference of settings as text for a terminal, and as the page `docs/reference/settings.md`."""

import textwrap

from foldseg.config.reference import BlockDoc, blocks

_HEAD = """# Settings

All settings, by block. This page is made by `foldseg settings --markdown docs/reference/settings.md` from the settings
classes. `foldseg settings BLOCK` shows one block in the terminal.

Where a block has kinds, `kind` chooses one, and only the settings of all kinds and of that one are valid:
`schedule: {kind: poly, power: 0.8}`. A bare name is short for a kind with its defaults: `schedule: poly`.

Sizes are [height, width] in pixels. Relative paths are relative to the project's folder.

An editor that knows YAML completes and checks these settings with `configs/schema.json`: begin a file with
`# yaml-language-server: $schema=../schema.json`.
"""


def blocks_text() -> str:
    """Return a list of all blocks: a line each, with the first line of what it is."""
    width = max(map(len, blocks()))
    lines = []
    for name, block in blocks().items():
        first_line = block.meaning.splitlines()[0] if block.meaning else ""
        lines.append(f"{name:{width}}  {first_line}")
    return "\n".join([*lines, "", "foldseg settings BLOCK shows one."])


def block_text(block: BlockDoc) -> str:
    """Return one block as text: a paragraph per setting. A choice is followed by its kinds and their settings."""
    lines = [block.meaning, ""]
    if block.used_in:
        lines += [f"stands in: {', '.join(block.used_in)}", ""]
    lines += _settings_text(block)
    for kind in block.kinds:
        lines += ["", f"kind {kind.name}: {' '.join(kind.meaning.split())}"]
        lines += [f"    {line}" for line in _settings_text(kind)]
    return "\n".join(lines)


def _settings_text(block: BlockDoc) -> list[str]:
    lines = []
    for setting in block.settings:
        default = f"  (default: {setting.default})" if setting.default else ""
        lines.append(f"{setting.name}: {setting.values}{default}")
        lines += textwrap.wrap(setting.meaning, 92, initial_indent="    ", subsequent_indent="    ")
    return lines


def page() -> str:
    """Return the page of all blocks, as Markdown."""
    return "\n".join([_HEAD, *map(_section, blocks().values())])


def _section(block: BlockDoc) -> str:
    used = [f"Stands in: {', '.join(f'`{key}`' for key in block.used_in)}.", ""] if block.used_in else []
    lines = [f"## {block.name}", "", block.meaning, "", *used, *_table(block), ""]
    for kind in block.kinds:
        lines += [f"### {block.name}: {kind.name}", "", kind.meaning, ""]
        lines += [*_table(kind), ""] if kind.settings else []
    return "\n".join(lines)


def _table(block: BlockDoc) -> list[str]:
    rows = [
        f"| `{setting.name}` | {_cell(setting.values)} | {_cell(setting.default)} | {_cell(setting.meaning)} |"
        for setting in block.settings
    ]
    return ["| setting | values | default | meaning |", "| --- | --- | --- | --- |", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
