"""The reference of verbs as text for a terminal, and as the page `docs/reference/commands.md`."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from foldseg.cli.reference import VerbDoc, WordDoc

_HEAD = """# Commands

All verbs of the command `foldseg`, in the groups of `foldseg --help`. This page is made by
`foldseg commands --markdown docs/reference/commands.md` from the command itself.

These rules hold for every verb:

- `foldseg VERB --help` shows this page's part on the verb.
- `KEY=VALUE` changes a setting, e.g. `batch_size=4` or `optimizer.lr=3e-4`. It may stand anywhere behind the verb. A
  value is YAML, so one with braces, brackets or spaces is put in quotes. [Settings](settings.md) lists the keys.
- A command works in the nearest project, from here upwards. A project is a folder that has `configs/data`,
  `configs/experiments` or `configs/ensembles`. `foldseg --project FOLDER VERB` names another one. Paths on the command
  line may be relative to where you are, or to the project.
- `~` is your home in every path. Variables such as `$HOME` are filled in by the shell alone.
- A size on the command line is WIDTHxHEIGHT, e.g. `1936x1216`. (In settings it is [height, width].)
- `foldseg --install-completion` lets your shell complete verbs and options.
- [Exit status](exit-status.md) says how a command ends.
"""


def verbs_text(verbs: Sequence[VerbDoc]) -> str:
    """List all verbs: usage and example, by group."""
    lines = []
    for group, members in groupby(verbs, lambda verb: verb.group):
        lines += [group, ""]
        for verb in members:
            lines += [f"  {verb.usage}", f"      e.g. {verb.example}"]
        lines.append("")
    return "\n".join([*lines, "foldseg VERB --help explains one."])


def page(verbs: Sequence[VerbDoc]) -> str:
    """Return the page of all verbs, as Markdown."""
    return "\n".join([_HEAD, *_sections(verbs)])


def _sections(verbs: Sequence[VerbDoc]) -> Iterator[str]:
    for group, members in groupby(verbs, lambda verb: verb.group):
        yield f"## {group}\n"
        yield from map(_section, members)


def _section(verb: VerbDoc) -> str:
    parts = [f"### {verb.name}", verb.meaning, f"    {verb.usage}"]
    if verb.arguments:
        parts.append(_table("argument", verb.arguments))
    if verb.options:
        parts.append(_table("option", verb.options))
    parts.append(f"Example:\n\n```sh\n{verb.example}\n```\n")
    return "\n\n".join(parts)


def _table(kind: str, words: Sequence[WordDoc]) -> str:
    rows = [
        f"| `{_cell(word.name)}` | {_cell(word.values)} | {_cell(word.default)} | {_cell(word.meaning)} |"
        for word in words
    ]
    return "\n".join([f"| {kind} | values | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
