"""What is said once in a process, however often it is met."""

import logging

logger = logging.getLogger(__name__)

_said: set[str] = set()


def say_once(message: str, *, kind: str = "", level: int = logging.WARNING) -> None:
    """Log a message unless it, or another one of its `kind`, has been logged in this process."""
    key = kind or message
    if key not in _said:
        _said.add(key)
        logger.log(level, "%s", message)
