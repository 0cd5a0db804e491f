"""The decoded cache: the same pixels as in the files, or an error; never half of them."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import foldseg
from foldseg.data import cache as module
from foldseg.data import camvid, signate
from foldseg.data.cache import CachedFrames, cache_frames, compute_fingerprint
from foldseg.data.frames import FileFrames, JoinedFrames
from foldseg.data.samples import count_mask_pixels
from foldseg.errors import FoldsegError


def camvid_frames(root: Path, labels: object = camvid.LABELS) -> FileFrames:
    return FileFrames.of(camvid.scan(root), root, labels)  # type: ignore[arg-type]


def same(one: object, other: object) -> bool:
    return all(
        np.array_equal(ours, theirs)
        for index in range(len(one.ids))  # type: ignore[attr-defined]
        for ours, theirs in zip(one.read(index), other.read(index), strict=True)  # type: ignore[attr-defined]
    )


def test_a_cache_holds_what_the_files_do_whatever_their_sizes(camvid_root: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, size in (("0001TP_000060", (31, 77)), ("0006R0_f00930", (120, 9))):
        cv2.imwrite(str(camvid_root / f"train/{name}.png"), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        cv2.imwrite(str(camvid_root / f"trainannot/{name}.png"), rng.integers(0, 12, size, dtype=np.uint8))
    files = camvid_frames(camvid_root)
    cached = cache_frames(files, tmp_path / "cache")
    assert cached.ids == list(files.ids)
    assert {cached.read(index)[1].shape for index in range(12)} == {(48, 64), (31, 77), (120, 9)}  # type: ignore[union-attr]
    assert same(files, cached)


def test_colour_masks_and_merged_classes_are_cached_as_indices(signate_root: Path, tmp_path: Path) -> None:
    table = signate.scan(signate_root)
    files = FileFrames.of(table[table["split"] == "train"], signate_root, signate.LABELS.select("scored"))
    assert same(files, cache_frames(files, tmp_path))


def test_a_choice_of_frames_keeps_their_order_and_counts(camvid_root: Path, tmp_path: Path) -> None:
    table = camvid.scan(camvid_root)
    everything = cache_frames(camvid_frames(camvid_root), tmp_path)
    part = table.iloc[[7, 0, 4]]
    chosen = CachedFrames(everything.home, part["id"].tolist())
    assert same(FileFrames.of(part, camvid_root, camvid.LABELS), chosen)
    expected = count_mask_pixels(part, camvid_root, camvid.LABELS)
    assert np.array_equal(chosen.count_class_pixels(), expected)
    assert np.array_equal(FileFrames.of(part, camvid_root, camvid.LABELS).count_class_pixels(), expected)


def test_joined_frames_are_those_of_their_parts(camvid_root: Path) -> None:
    table = camvid.scan(camvid_root)
    parts = [FileFrames.of(table.iloc[rows], camvid_root, camvid.LABELS) for rows in ([3, 1], [6])]
    joined, whole = JoinedFrames(tuple(parts)), FileFrames.of(table.iloc[[3, 1, 6]], camvid_root, camvid.LABELS)
    assert joined.ids == list(whole.ids)
    assert same(whole, joined)
    assert np.array_equal(joined.count_class_pixels(), whole.count_class_pixels())


def test_a_cached_frame_cannot_be_written_to(camvid_root: Path, tmp_path: Path) -> None:
    image, _ = cache_frames(camvid_frames(camvid_root), tmp_path).read(0)
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 0


def test_a_spawned_worker_gets_the_path_not_the_pixels(camvid_root: Path, tmp_path: Path) -> None:
    cached = cache_frames(camvid_frames(camvid_root), tmp_path)
    cached.read(0)
    content = pickle.dumps(cached)
    assert len(content) < 10_000
    assert same(cached, pickle.loads(content))


def test_it_is_built_once(camvid_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = camvid_frames(camvid_root)
    first = cache_frames(files, tmp_path)
    monkeypatch.setattr(module, "_build", None)
    assert cache_frames(files, tmp_path).home == first.home


def test_the_fingerprint_changes_with_the_files_and_the_classes(camvid_root: Path) -> None:
    seen = {compute_fingerprint(camvid_frames(camvid_root))}
    assert compute_fingerprint(camvid_frames(camvid_root)) in seen
    seen.add(compute_fingerprint(camvid_frames(camvid_root, camvid.LABELS.select(["road", "car"]))))
    table = camvid.scan(camvid_root)
    seen.add(compute_fingerprint(FileFrames.of(table.iloc[:-1], camvid_root, camvid.LABELS)))
    seen.add(compute_fingerprint(FileFrames.of(table, camvid_root, camvid.LABELS, encoded=True)))
    for folder in ("train", "trainannot"):
        path = camvid_root / folder / "0001TP_000030.png"
        times, content = path.stat(), path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of the same size and time
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        seen.add(compute_fingerprint(camvid_frames(camvid_root)))
    assert len(seen) == 6


def test_the_fingerprint_changes_with_the_code_that_decodes(camvid_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compute_fingerprint(camvid_frames(camvid_root))
    monkeypatch.setattr(module, "hash_code", lambda *_: "0123456789ab")
    assert compute_fingerprint(camvid_frames(camvid_root)) != before


def test_all_code_that_decodes_is_in_the_fingerprint() -> None:
    """Whatever of the room `data` is imported by it decodes, too."""
    package = Path(foldseg.__file__).parent
    for part in module._DECODING:
        text = (package / part).read_text()
        found = {f"data/{name}.py" for name in re.findall(r"from foldseg\.data\.(\w+) import", text)}
        found |= {f"data/{name}.py" for name in re.findall(r"from foldseg\.data import (\w+)", text)}
        assert found <= set(module._DECODING), part


def test_data_that_moves_or_is_touched_keeps_its_cache(camvid_root: Path, tmp_path: Path) -> None:
    before = compute_fingerprint(camvid_frames(camvid_root))
    for path in camvid_root.rglob("*.png"):
        os.utime(path, ns=(1, 1))
    assert compute_fingerprint(camvid_frames(camvid_root)) == before
    shutil.copytree(camvid_root, tmp_path / "copied", copy_function=shutil.copyfile)
    assert compute_fingerprint(camvid_frames(tmp_path / "copied")) == before


def test_a_full_disk_is_told_before_anything_is_decoded(
    camvid_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_frames(camvid_frames(camvid_root), tmp_path / "cache")
    table = camvid.scan(camvid_root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2**30, 2**30, 1000))  # type: ignore[attr-defined]
    monkeypatch.setattr(FileFrames, "read", None)
    with pytest.raises(
        FoldsegError, match=r"11 decoded images take 0.00 GiB and 0.00 GiB are free \(0.00 GiB are in old"
    ):
        cache_frames(FileFrames.of(table.iloc[1:], camvid_root, camvid.LABELS), tmp_path / "cache")


def test_its_size_and_the_free_space_are_said(
    camvid_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        cache_frames(camvid_frames(camvid_root), tmp_path)
    assert "caching 12 images, 0.00 GiB of" in caplog.text


def test_a_damaged_file_is_named_and_leaves_no_cache(camvid_root: Path, tmp_path: Path) -> None:
    path = camvid_root / "train/0006R0_f00960.png"
    content = path.read_bytes()
    cv2.imwrite(str(path), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(FoldsegError, match=r"0006R0_f00960\.png: is 64x48, its image .* is 9x9"):
        cache_frames(camvid_frames(camvid_root), tmp_path)
    assert not list(tmp_path.rglob("index.json"))
    path.write_bytes(content)
    assert same(camvid_frames(camvid_root), cache_frames(camvid_frames(camvid_root), tmp_path))


def test_images_without_masks_are_refused(signate_root: Path, tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"test_000\.jpg: has no mask; only images with masks are cached"):
        cache_frames(FileFrames.of(signate.scan(signate_root), signate_root, signate.LABELS), tmp_path)


@pytest.mark.parametrize("damage", ["index", "frames"])
def test_what_a_killed_process_left_is_built_anew(damage: str, camvid_root: Path, tmp_path: Path) -> None:
    files = camvid_frames(camvid_root)
    home = cache_frames(files, tmp_path).home
    if damage == "index":
        (home / "index.json").unlink()
    (home / "frames.bin").write_bytes(b"half")
    assert same(files, cache_frames(files, tmp_path))


def test_a_build_that_is_killed_half_way_is_taken_up_by_the_next(camvid_root: Path, tmp_path: Path) -> None:
    code = f"""
    import os
    from pathlib import Path
    from foldseg.data import cache, camvid
    from foldseg.data.frames import FileFrames
    write, written = cache._write_frame, []
    def killing(*args):
        written.append(write(*args))
        if len(written) == 5:
            os.kill(os.getpid(), 9)
        return written[-1]
    cache._write_frame = killing
    root = Path({str(camvid_root)!r})
    cache.cache_frames(FileFrames.of(camvid.scan(root), root, camvid.LABELS), Path({str(tmp_path / "cache")!r}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -9
    assert list((tmp_path / "cache").glob("*/frames.bin"))
    files = camvid_frames(camvid_root)
    assert same(files, cache_frames(files, tmp_path / "cache"))


def test_of_several_that_start_at_once_one_builds_and_the_others_wait(camvid_root: Path, tmp_path: Path) -> None:
    """Another process is building: what it has built by then is taken."""
    files = camvid_frames(camvid_root)
    built = cache_frames(files, tmp_path / "first").home
    home = tmp_path / "cache" / built.name
    code = f"""
        import shutil, time
        from pathlib import Path
        from foldseg.files import locked
        with locked(Path({str(home / "frames.bin")!r}), wait=True):
            print("building", flush=True)
            time.sleep(1)
            shutil.copy({str(built / "frames.bin")!r}, {str(home)!r})
            shutil.copy({str(built / "index.json")!r}, {str(home)!r})
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "building\n"
        assert not (home / "index.json").exists()
        before = time.monotonic()
        cached = cache_frames(files, tmp_path / "cache")
        assert time.monotonic() - before > 0.5
    assert same(files, cached)


def test_the_index_is_plain_json(camvid_root: Path, tmp_path: Path) -> None:
    index = json.loads((cache_frames(camvid_frames(camvid_root), tmp_path).home / "index.json").read_text())
    assert index["bytes"] == 12 * 48 * 64 * 4
    assert index["sizes"] == [[48, 64]] * 12
