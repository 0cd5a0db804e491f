"""Read the blocks and the names of files of a Markdown page.

A comment on the line before a block, which a reader does not see, says how the block is tested:

`<!-- not run: REASON -->`: commands that cannot be run in a test
`<!-- exit status N -->`: commands of which the last one fails, as the page says
`<!-- a part of an experiment -->`, `<!-- a part of an ensemble -->`: settings that may be added to such a file
`<!-- drawing -->`: neither commands nor settings nor output
"""

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "submissions/README.md",
    *sorted(REPOSITORY.glob("docs/tutorials/*.md")),
    *sorted(REPOSITORY.glob("docs/how-to/*.md")),
    REPOSITORY / "docs/reference/commands.md",
]
"""Pages whose commands are run."""
OTHER_PAGES = sorted(
    {*REPOSITORY.glob("docs/**/*.md"), REPOSITORY / "ARCHITECTURE.md", REPOSITORY / "folds/README.md"} - set(PAGES)
)
"""Pages of which only names are checked: of verbs, blocks of settings and files."""

_COMMENT = re.compile(r"<!-- *(.*?) *-->")
_FENCE = re.compile(r" *```(\w*)$")
_FOLDERS = "runs|submissions|data|folds|weights|configs|docs|benchmarks|scripts|src|notebooks|tests"
_PATH = re.compile(rf"(?:{_FOLDERS})/[\w./-]+")


@dataclass(frozen=True)
class Block:
    """A fenced block. `line`: where it begins, from 1; `note`: the comment before it, or empty."""

    line: int
    language: str
    text: str
    note: str


def read_blocks(page: Path) -> list[Block]:
    """Return all fenced blocks of a page, in order."""
    lines = page.read_text().splitlines()
    blocks, number = [], 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if not fence:
            number += 1
            continue
        end = lines.index("```", number + 1)
        comment = _COMMENT.fullmatch(lines[number - 1].strip()) if number else None
        text = "\n".join(lines[number + 1 : end])
        blocks.append(Block(number + 1, fence[1], text, comment[1] if comment else ""))
        number = end + 1
    return blocks


def read_prose(page: Path) -> str:
    """Return a page without its blocks and comments."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def named_paths(page: Path) -> list[str]:
    """Return the files and folders that a page names as `code`, below the folders of a project."""
    spans = re.findall(r"`([^`\n]+)`", read_prose(page))
    return sorted({span for span in spans if _PATH.fullmatch(span)})


def named_verbs(page: Path) -> list[str]:
    """Return the verbs of foldseg that a page names as `code`."""
    return sorted(set(re.findall(r"`foldseg ([a-z][a-z-]+)", read_prose(page))))


def named_blocks(page: Path) -> list[str]:
    """Return the blocks of settings that a page tells to look up."""
    return sorted(set(re.findall(r"`foldseg settings ([a-z_]+)`", read_prose(page))))


def shown_results(page: Path) -> list[str]:
    """Return what a page tells to look at: the `code` that begins an item of its section "What to look at"."""
    section = re.search(r"^## What to look at$(.*?)(?=^## |\Z)", read_prose(page), re.MULTILINE | re.DOTALL)
    return re.findall(r"^- `([^`]+)`", section[1], re.MULTILINE) if section else []
