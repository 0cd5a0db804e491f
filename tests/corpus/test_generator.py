"""The bad files themselves, and the eyes that watch over what a command does with them."""

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import yaml

from corpus.__main__ import write_all
from corpus.binaries import CANARY, Payload
from corpus.world import Snapshot


def contents(folder: Path) -> dict[str, str]:
    """Name -> what a path is, and the hash of what it holds if it is a plain file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if plain else "no file"
    return found


def test_there_are_many_bad_files_and_the_same_ones_every_time(tmp_path: Path):
    assert len(write_all(tmp_path / "first")) > 500
    write_all(tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_every_bad_file_is_unlike_the_good_one(tmp_path: Path):
    for path in write_all(tmp_path):
        if path.is_file() and path.stat().st_mode & 0o170000 == 0o100000 and not path.is_symlink():
            assert path.read_bytes() != path.with_stem("good").read_bytes(), path


def test_code_in_a_bad_file_would_leave_a_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Payload()))
    assert Path(CANARY).is_file()
    Path(CANARY).unlink()
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(f"!!python/object/apply:os.system ['touch {CANARY}']")
    assert yaml.unsafe_load(f"!!python/object/apply:os.system ['touch {CANARY}']") == 0
    assert Path(CANARY).is_file()


def test_a_snapshot_tells_what_is_lost_and_what_is_new_and_puts_all_back(tmp_path: Path):
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    for name in ("bad", "same", "changed", "removed", "folder/inner"):
        (root / name).write_text(name)
    snapshot = Snapshot.of(root, tmp_path / "kept")
    (root / "same").write_text("same")
    (root / "changed").write_text("chunged")
    (root / "removed").unlink()
    (root / "folder/new").write_text("")
    os.mkfifo(root / "pipe")
    (root / "bad").unlink()
    (root / "bad").mkdir()
    assert snapshot.changed(root / "bad") == (["changed", "removed"], ["folder/new", "pipe"])
    snapshot.restore(root / "bad")
    assert snapshot.changed(root / "nothing") == ([], [])
    assert contents(root) == contents(tmp_path / "kept")
