"""The one exception that a user is meant to read, and what makes its message fit to be read."""

from collections.abc import Sequence


class FoldsegError(Exception):
    """Something that the user can mend: bad input, a missing file, an impossible setting.

    The message names the file, id or key, says what was found and what was expected. Scripts print it
    without a traceback and exit with code 1; any other exception is a defect of foldseg.
    """


_LONGEST_NAME = 80
_MOST_PROBLEMS = 20


def printable(text: str) -> str:
    """Return `text` for a terminal: what would steer it, such as escape codes, is spelled out; lines stay lines."""
    return "".join(letter if letter.isprintable() or letter == "\n" else _spelled(letter) for letter in text)


def short_name(name: str) -> str:
    """Return a name that somebody else chose for a message: on one line, printable and not longer than 80 letters."""
    shown = "".join(letter if letter.isprintable() else _spelled(letter) for letter in name)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode()


def raise_if_any(problems: Sequence[str], what: str) -> None:
    """FoldsegError that lists the problems, at most 20 of them."""
    if len(problems) == 1:
        raise FoldsegError(problems[0])
    if problems:
        more = [f"and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        raise FoldsegError(
            f"{len(problems)} {what} cannot be used:\n  " + "\n  ".join([*problems[:_MOST_PROBLEMS], *more])
        )
