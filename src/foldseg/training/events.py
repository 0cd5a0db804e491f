"""A file of TensorBoard's, written without a thread, so that a full disk is heard of and leaves whole records."""

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
    """One more event file in a folder; nothing is on the disk before `write`."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Hide what other files of the folder say of `first_step` and of later steps: it is said again here."""
        self.path = folder / f"events.out.tfevents.{time.time():.0f}.{platform.node()}.{os.getpid()}.0"
        session = SessionLog(status=SessionLog.START)
        self._start = [
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=first_step, session_log=session),
        ]

    def write(self, summaries: Sequence[Summary], step: int) -> None:
        """Append the numbers and pictures of a step, all of them or nothing. FoldsegError when there is no room."""
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
                while len(view):  # less is written than asked for before a disk is full
                    view = view[stream.write(view) or 0 :]
        except OSError as error:
            if size is not None:
                os.truncate(self.path, size)
            raise FoldsegError(f"{self.path}: could not be written: {error.strerror or error}") from error
        self._start = []
