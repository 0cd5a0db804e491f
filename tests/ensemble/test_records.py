"""Records of images: work that was stopped goes on."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from foldseg.ensemble.records import Records


@dataclass(frozen=True)
class Job:
    id: str
    value: int
    log: Path


def work(job: Job) -> dict[str, np.ndarray]:
    """Note that it was called; fail on 13."""
    with job.log.open("a") as log:
        log.write(f"{job.id}\n")
    if job.value == 13:
        raise RuntimeError(job.id)
    return {"value": np.array(job.value), "text/part": np.arange(job.value)}


def jobs(folder: Path, values: list[int]) -> list[Job]:
    return [Job(f"im{i}", value, folder / "log") for i, value in enumerate(values)]


def no_outputs(name: str) -> list[Path]:
    """The function writes no files."""
    return []


def called(folder: Path) -> list[str]:
    return (folder / "log").read_text().split()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_done_is_not_done_again(tmp_path: Path, workers: int) -> None:
    todo = jobs(tmp_path, [3, 1, 2])
    part = Records.of(tmp_path, "oof", {"a": 1})
    first = list(part.process(work, todo, no_outputs, workers, "working"))
    again = list(part.process(work, todo, no_outputs, workers, "working"))
    assert sorted(called(tmp_path)) == ["im0", "im1", "im2"]
    for one, other in zip(first, again, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one)
    assert [int(one["value"]) for one in again] == [3, 1, 2]


def test_work_that_failed_goes_on_with_the_rest(tmp_path: Path) -> None:
    part = Records.of(tmp_path, "oof", {})
    with pytest.raises(RuntimeError, match="im2"):
        list(part.process(work, jobs(tmp_path, [3, 1, 13, 4]), no_outputs, 1, "working"))
    assert called(tmp_path) == ["im0", "im1", "im2"]
    done = list(part.process(work, jobs(tmp_path, [3, 1, 5, 4]), no_outputs, 1, "working"))
    assert called(tmp_path)[3:] == ["im2", "im3"]
    assert [int(one["value"]) for one in done] == [3, 1, 5, 4]


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    part = Records.of(tmp_path, "oof", {})
    list(part.process(work, jobs(tmp_path, [3]), no_outputs, 1, "working"))
    (part.folder / "im0.npz").write_bytes(b"PK\x03\x04 cut short")
    assert int(next(part.process(work, jobs(tmp_path, [3]), no_outputs, 1, "working"))["value"]) == 3
    assert called(tmp_path) == ["im0", "im0"]


def test_other_facts_are_other_work(tmp_path: Path) -> None:
    facts = {"weights": np.array([1.0, 2.0]), "path": Path("a")}
    assert Records.of(tmp_path, "oof", facts) == Records.of(tmp_path, "oof", dict(reversed(facts.items())))
    assert Records.of(tmp_path, "oof", facts) != Records.of(tmp_path, "oof", facts | {"path": Path("b")})
    assert Records.of(tmp_path, "oof", facts) != Records.of(tmp_path, "oof", facts | {"weights": np.array([1.0, 2.5])})


def test_a_record_of_another_image_is_made_again(tmp_path: Path) -> None:
    part, todo = Records.of(tmp_path, "oof", {}), jobs(tmp_path, [3, 4])
    list(part.process(work, todo, no_outputs, 1, "working"))
    shutil.copy(part.folder / "im1.npz", part.folder / "im0.npz")
    other = Records.of(tmp_path, "oof", {"other": 1})
    list(other.process(work, todo, no_outputs, 1, "working"))
    shutil.copy(other.folder / "im1.npz", part.folder / "im1.npz")
    again = list(part.process(work, todo, no_outputs, 1, "working"))
    assert [int(record["value"]) for record in again] == [3, 4]
    assert called(tmp_path) == ["im0", "im1"] * 3


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("other")], ids=["missing", "changed"])
def test_an_image_of_which_a_file_is_missing_or_changed_is_made_again(tmp_path: Path, damage) -> None:
    def outputs_of(name: str) -> list[Path]:
        return [tmp_path / f"{name}.txt"]

    def write(job: Job) -> dict[str, np.ndarray]:
        outputs_of(job.id)[0].write_text(f"made {job.value}")
        return work(job)

    part, todo = Records.of(tmp_path, "oof", {}), jobs(tmp_path, [3, 4])
    list(part.process(write, todo, outputs_of, 1, "working"))
    damage(tmp_path / "im1.txt")
    list(part.process(write, todo, outputs_of, 1, "working"))
    assert called(tmp_path) == ["im0", "im1", "im1"]
    assert (tmp_path / "im1.txt").read_text() == "made 4"
