"""Hashes of files: right whatever was remembered, and computed once."""

import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from foldseg.data import camvid, hashes
from foldseg.data.hashes import SampleHashes, hash_code, hash_file, hash_files, hash_readable_files
from foldseg.data.labels import describe_label_changes
from foldseg.errors import FoldsegError


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Files that have been read to be hashed; hashes are remembered at once, in a folder of the test's own."""
    read: list[Path] = []
    sha256 = hashes.sha256
    monkeypatch.setattr(hashes, "sha256", lambda path: read.append(path) or sha256(path))
    monkeypatch.setattr(hashes, "_SETTLED_NS", -(10**12))
    monkeypatch.setattr(hashes, "_remembered", {})
    monkeypatch.setenv("FOLDSEG_CACHE", str(tmp_path / "cache"))
    return read


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(folder: Path, number: int = 3) -> list[Path]:
    folder.mkdir()
    for index in range(number):
        (folder / f"{index}.png").write_bytes(bytes([index]) * 100)
    return sorted(folder.iterdir())


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be another process."""
    monkeypatch.setattr(hashes, "_remembered", {})


def test_a_file_is_read_once_and_again_when_its_size_or_any_of_its_times_moved(
    hashed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = files(tmp_path / "data")
    expected = [hash_of(path) for path in paths]
    assert hash_files([*paths, paths[0]]) == [*expected, expected[0]]
    forget(monkeypatch)
    assert hash_files(paths) == expected
    assert sorted(hashed) == paths
    os.utime(paths[1], (1, 1))  # older
    times = paths[2].stat()
    paths[2].write_bytes(b"x" * 100)
    os.utime(paths[2], ns=(times.st_atime_ns, times.st_mtime_ns))  # the same
    forget(monkeypatch)
    assert hash_files(paths) == [*expected[:2], hash_of(paths[2])]
    assert sorted(hashed[3:]) == paths[1:]


def test_a_file_that_has_just_changed_is_not_remembered(
    hashed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may change again within the resolution of its file system's times."""
    monkeypatch.setattr(hashes, "_SETTLED_NS", 2_000_000_000)
    (path,) = files(tmp_path / "data", 1)
    assert hash_file(path) == hash_file(path) and len(hashed) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"files": 3}', b'{"files": {"0.png": [1, 2]}}', b"\xff\xfe"])
def test_a_damaged_memory_is_ignored_and_written_anew(
    hashed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    (path,) = files(tmp_path / "data", 1)
    hash_file(path)
    (memory,) = (tmp_path / "cache").rglob("*.json")
    memory.write_bytes(damage)
    forget(monkeypatch)
    assert hash_file(path) == hash_of(path) and len(hashed) == 2
    forget(monkeypatch)
    assert hash_file(path) == hash_of(path) and len(hashed) == 2
    assert list(json.loads(memory.read_text())["files"]) == ["0.png"]


def test_where_no_memory_can_be_written_files_are_read_once_a_process(
    hashed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDSEG_CACHE", "/dev/null/nowhere")
    (path,) = files(tmp_path / "data", 1)
    assert hash_file(path) == hash_file(path) == hash_of(path) and len(hashed) == 1


def test_nothing_is_written_beside_the_files_and_files_that_are_gone_are_forgotten(
    hashed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = files(tmp_path / "data")
    hash_files(paths[:2])
    paths[0].unlink()
    hash_files(paths[1:])
    assert sorted((tmp_path / "data").iterdir()) == paths[1:]
    (memory,) = (tmp_path / "cache").rglob("*.json")
    assert list(json.loads(memory.read_text())["files"]) == ["1.png", "2.png"]


def test_a_file_that_cannot_be_read_is_named_or_left_out(hashed: list[Path], tmp_path: Path) -> None:
    (path,) = files(tmp_path / "data", 1)
    with pytest.raises(FoldsegError, match=r"nowhere\.png: no such file"):
        hash_files([path, tmp_path / "nowhere.png"])
    os.mkfifo(tmp_path / "pipe")  # is not waited for
    for name in ("data", "pipe"):
        with pytest.raises(FoldsegError, match=rf"{name}: is a \w+.*, not a file"):
            hash_file(tmp_path / name)
    assert hash_readable_files([tmp_path / "nowhere.png", path]) == ["", hash_of(path)]


def test_code_is_told_apart_by_rooms_and_modules() -> None:
    assert len({hash_code("data"), hash_code("data", "views"), hash_code("data/reading.py")}) == 3


def contents_of(root: Path) -> SampleHashes:
    table = pd.DataFrame({"id": ["a", "b", "c"], "image": ["0.png", "1.png", "2.png"], "mask": ["0.png", "", "2.png"]})
    return SampleHashes.of({"train": table.iloc[:2], "test": table.iloc[2:]}, root)


def test_contents_come_back_and_their_changes_are_told_by_part(hashed: list[Path], tmp_path: Path) -> None:
    paths = files(tmp_path / "data")
    before = contents_of(tmp_path / "data")
    before.write(tmp_path / "data.csv")
    assert SampleHashes.read(tmp_path / "data.csv") == before
    assert before.changes(contents_of(tmp_path / "data")) == []
    for path in paths:
        path.write_bytes(b"other")
    now = contents_of(tmp_path / "data")
    assert before.changes(now) == ["train: 2 images (a, ...), 1 mask (a)", "test: 1 image (c), 1 mask (c)"]
    fewer = SampleHashes({key: value for key, value in before.rows.items() if key != ("train", "a")})
    assert before.changes(fewer) == ["train: 1 missing sample (a)"]
    assert fewer.changes(before) == ["train: 1 new sample (a)"]
    (tmp_path / "data.csv").write_text("part,id\n")
    with pytest.raises(FoldsegError, match=r"data\.csv: should have the columns part, id, image, mask"):
        SampleHashes.read(tmp_path / "data.csv")


def test_a_label_sets_changes_are_told_class_by_class() -> None:
    facts = camvid.LABELS.definition
    assert facts["sky"] == "raw ids 0, scored" and facts["(void)"] == "raw ids 11"
    assert describe_label_changes(facts, facts) == []
    assert describe_label_changes(facts | {"sky": "raw ids 11"}, facts) == ["sky: raw ids 11 became raw ids 0, scored"]
    assert describe_label_changes(dict(reversed(facts.items())), facts) == ["the order of the classes is another one"]
