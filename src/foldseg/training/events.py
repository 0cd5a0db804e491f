"""Writes files for TensorBoard without a thread: a full disk is then an error, and leaves complete records."""

import io
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from foldseg.errors import FoldsegError


class EventFile:
    """A new event file in a folder. The first call of `write` creates it."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Make TensorBoard ignore what other files hold of `first_step` and later steps: it is written again here."""
        self.path = folder / f"events.out.tfevents.{time.time():.0f}.{platform.node()}.{os.getpid()}.0"
        session = SessionLog(status=SessionLog.START)
        self._start = [
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=first_step, session_log=session),
        ]

    def write(self, summaries: Sequence[Summary], step: int) -> None:
        """Append the numbers and pictures of a step, all of them or nothing. FoldsegError if the disk is full."""
        events = [*self._start, *(Event(wall_time=time.time(), step=step, summary=summary) for summary in summaries)]
        content = io.BytesIO()
        writer = RecordWriter(content)
        for event in events:
            writer.write(event.SerializeToString())
        size = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as stream:
                size = stream.tell()
                view = content.getbuffer()
                while len(view):  # a nearly full disk takes only a part
                    view = view[stream.write(view) or 0 :]
        except OSError as error:
            if size is not None:
                os.truncate(self.path, size)
            raise FoldsegError(f"{self.path}: could not be written: {error.strerror or error}") from error
        self._start = []
