"""Files are either old or new, never half written."""

import errno
import hashlib
import json
from pathlib import Path

import pytest

from foldseg.errors import FoldsegError
from foldseg.files import read_json, replacing, sha256, write_bytes, write_json, write_text


def everything(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")
    assert everything(tmp_path) == {"a.txt": "new"}


def test_folders_are_made(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "c", b"x")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"x"


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with replacing(tmp_path / "a.txt") as partial:
        partial.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
        number = partial.stat().st_ino
    assert (tmp_path / "a.txt").stat().st_ino == number  # renamed, not copied: there is no moment of half a file


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_inside_leaves_the_old_file_and_no_partial(tmp_path: Path, error: type[BaseException]) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(error), replacing(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise error
    assert everything(tmp_path) == {"a.txt": "old"}


def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FoldsegError, match=r"a\.txt: could not be written: No space left on device"):
        write_text(path, "new and longer")
    assert everything(tmp_path) == {"a.txt": "old"}


@pytest.mark.parametrize("below", ["x.txt", "folder/x.txt"])
def test_a_file_where_a_folder_should_be_is_explained(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(FoldsegError, match="could not be written"):
        write_text(tmp_path / "file" / below, "x")
    assert everything(tmp_path) == {"file": "kept"}


def test_a_name_that_is_too_long_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="could not be written"):
        write_text(tmp_path / ("x" * 300), "x")


def test_json_comes_back(tmp_path: Path) -> None:
    content = {"b": [1, 2.5, None], "a": {"ü": True}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FoldsegError, match=r"a\.json: not valid JSON"):
        read_json(tmp_path / "a.json")


def test_a_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"a\.json: no such file"):
        read_json(tmp_path / "a.json")


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert json.dumps(sha256(tmp_path / "a")).startswith('"ba7816bf')
