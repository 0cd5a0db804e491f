"""The one exception that users read, and functions that make messages fit for a terminal."""

from collections.abc import Sequence


class FoldsegError(Exception):
    """Something that the user can mend: bad input, a missing file, an impossible setting.

    The message names the file, id or key, and says what was found and what was expected. Commands print it without a
    traceback and exit with status 1. Any other exception is a defect of foldseg.
    """


_LONGEST_NAME = 80
_MOST_PROBLEMS = 20


def printable(text: str) -> str:
    """Return a text for a terminal: control characters, which would steer it, become escapes. Lines stay lines."""
    return "".join(letter if letter.isprintable() or letter == "\n" else _escape(letter) for letter in text)


def short_name(name: str) -> str:
    """Return a name from somebody else's file for a message: on one line, printable, at most 80 letters long."""
    text = "".join(letter if letter.isprintable() else _escape(letter) for letter in name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode()


def raise_if_any(problems: Sequence[str], noun: str) -> None:
    """Raise FoldsegError that lists the problems, if there are any, at most 20 of them.

    `noun` says of what they are: `3 masks cannot be used: ...`.
    """
    if len(problems) == 1:
        raise FoldsegError(problems[0])
    if problems:
        lines = [f"{len(problems)} {noun} cannot be used:", *problems[:_MOST_PROBLEMS]]
        if len(problems) > _MOST_PROBLEMS:
            lines.append(f"and {len(problems) - _MOST_PROBLEMS} more")
        raise FoldsegError("\n  ".join(lines))
