"""What an import passes over or decides by itself: counted by reason, with an example each."""

import threading
from dataclasses import dataclass, field


@dataclass
class Remarks:
    """Counts of what is passed over or decided, by reason. Threads may share it."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count something. `reason` is a sentence about several: `polygons of less than three points are skipped`."""
        with self._lock:
            self.counts[reason] = self.counts.get(reason, 0) + count
            self.examples.setdefault(reason, example)

    def lines(self) -> list[str]:
        """Return `<reason>: <count>, e.g. <example>` for each reason, the most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: -item[1])
        return [f"{reason}: {count}, e.g. {self.examples[reason]}" for reason, count in ordered]
