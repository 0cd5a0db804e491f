"""Log messages that are written only once in a process, although their reason may occur often."""

import logging

logger = logging.getLogger(__name__)

_logged: set[str] = set()


def say_once(message: str, *, kind: str = "", level: int = logging.WARNING) -> None:
    """Log a message unless it, or another one of its `kind`, has been logged in this process."""
    key = kind or message
    if key not in _logged:
        _logged.add(key)
        logger.log(level, "%s", message)
