"""Any pictures into a folder: what is found, what is written, what is left alone."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from tiny import COLOURS, Painter, blocks

from foldseg.data import camvid
from foldseg.data.hashes import hash_file
from foldseg.data.reading import read_image
from foldseg.deploy.drawing import legend, overlay
from foldseg.deploy.forms import FORMS
from foldseg.deploy.images import predict_images
from foldseg.deploy.picture_files import find_pictures
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from foldseg.inference.store import PredictionStore

MASK = blocks(40, 56)
PICTURE = COLOURS[MASK]


def save(path: Path, picture: np.ndarray = PICTURE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(picture).save(path, quality=100, subsampling=0)
    return path


def read(path: Path) -> np.ndarray:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def predict(folder: Path, form: str = "masks", source: Painter | None = None, out: str = "out") -> Painter:
    source = source or Painter()
    target = folder.parent / out
    predict_images(source, find_pictures([folder], target), target, form)
    return source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of them in a folder of its own."""
    for name in ("b.jpg", "a.png", "city/c.png"):
        save(tmp_path / "in" / name)
    return tmp_path / "in"


def test_folders_are_searched_at_any_depth_and_names_are_kept(folder: Path, tmp_path: Path) -> None:
    for name in (".hidden.png", ".cache/d.png", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    single = save(tmp_path / "elsewhere/single.JPG")
    found = find_pictures([folder, single, folder / "a.png"], tmp_path / "out")
    assert [picture.name for picture in found] == ["a", "b", "city/c", "single"]
    assert found[2].path == folder / "city/c.png"


def test_results_of_an_earlier_call_are_no_pictures(folder: Path) -> None:
    out = folder / "predicted"
    for _ in range(2):
        predict_images(Painter(), find_pictures([folder], out), out, "colours")
    assert sorted(p.name for p in out.rglob("*")) == ["a.png", "b.png", "c.png", "city", "prediction.json"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["empty"], r"empty: holds no pictures \(\.jpg"),
        (["in", "twice"], r"in/a\.png and .*twice/a\.jpg would both be predicted into .*out/a"),
        ([], "no picture or folder is given"),
    ],
)
def test_what_cannot_be_predicted_is_told(folder: Path, tmp_path: Path, names: list[str], says: str) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "twice/a.jpg")
    with pytest.raises(FoldsegError, match=says):
        find_pictures([tmp_path / name for name in names], tmp_path / "out")


def test_results_do_not_go_where_the_pictures_are(folder: Path) -> None:
    for out in (folder, folder.parent):
        with pytest.raises(FoldsegError, match="is where the pictures are"):
            find_pictures([folder], out)


def test_masks_hold_raw_ids(folder: Path) -> None:
    predict(folder)
    for name in ("a", "city/c"):
        found = read(folder.parent / f"out/{name}.png")
        assert found.dtype == np.uint8 and np.array_equal(found, camvid.LABELS.decode(MASK))
    assert (read(folder.parent / "out/b.png") == MASK).mean() > 0.99  # a JPEG is not exact


def test_colours_are_the_classes(folder: Path) -> None:
    predict(folder, "colours")
    assert np.array_equal(read_image(folder.parent / "out/a.png"), PICTURE)


def test_overlays_have_a_legend_below(folder: Path) -> None:
    source = Painter()
    out = folder.parent / "out"
    predict_images(source, find_pictures([folder], out), out, "overlay", 0.25)
    found = read_image(out / "a.png")
    assert np.array_equal(found[:40], overlay(PICTURE, MASK, camvid.LABELS, 0.25))
    assert np.array_equal(found[40:], legend(camvid.LABELS, 56))


def test_probabilities_are_a_prediction_store(folder: Path) -> None:
    predict(folder, "probabilities")
    store = PredictionStore(folder.parent / "out")
    store.require_complete()
    assert store.metadata.ids == ["a", "b", "city/c"]
    assert store.metadata.classes == camvid.LABELS.names
    assert np.array_equal(store.read("city/c").argmax(0), MASK)


def test_a_picture_is_predicted_upright(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    PillowImage.fromarray(PICTURE).save(tmp_path / "in/a.png", exif=exif)
    source = predict(tmp_path / "in")
    assert source.seen == [(56, 40, 3)]
    assert np.array_equal(read(tmp_path / "out/a.png"), np.rot90(MASK, -1))


@pytest.mark.parametrize("form", FORMS)
def test_a_second_call_predicts_what_is_missing_or_older_than_its_picture(folder: Path, form: str) -> None:
    out, suffix = folder.parent / "out", ".prob" if form == "probabilities" else ".png"
    assert len(predict(folder, form).seen) == 3
    assert len(predict(folder, form).seen) == 0
    (out / f"b{suffix}").unlink()
    new = save(folder / "a.png", COLOURS[blocks(40, 56, seed=1)])
    later = (out / f"a{suffix}").stat().st_mtime + 5
    os.utime(new, (later, later))
    assert len(predict(folder, form).seen) == 2


def test_more_pictures_join_the_others(folder: Path) -> None:
    predict(folder)
    save(folder / "d.png")
    assert len(predict(folder).seen) == 1


def test_leftovers_of_a_killed_process_are_removed(folder: Path) -> None:
    predict(folder)
    for leftover in ("out/.a.png.999999999.partial", "out/city/.c.png.999999999.partial"):
        (folder.parent / leftover).write_bytes(b"half")
    predict(folder)
    assert not list((folder.parent / "out").rglob("*.partial"))


@pytest.mark.parametrize(
    ("form", "source", "key"),
    [
        ("colours", Painter(), "form"),
        ("masks", Painter(weights="cd" * 32), "weights"),
        ("masks", Painter(labels=camvid.LABELS.select(camvid.LABELS.names[::-1])), "classes"),
    ],
)
def test_predictions_of_something_else_are_not_mixed(folder: Path, form: str, source: Painter, key: str) -> None:
    predict(folder)
    before = {path: path.read_bytes() for path in (folder.parent / "out").rglob("*.*")}
    with pytest.raises(FoldsegError, match=rf"out: holds predictions of other {key}, see prediction\.json there"):
        predict(folder, form, source)
    assert before == {path: path.read_bytes() for path in (folder.parent / "out").rglob("*.*")}
    assert source.seen == []


def test_a_store_is_for_its_pictures_alone(folder: Path) -> None:
    """Its description names them; another list would have the earlier ones removed."""
    predict(folder, "probabilities")
    save(folder / "d.png")
    with pytest.raises(FoldsegError, match="predictions of other pictures"):
        predict(folder, "probabilities")


def test_another_picture_of_the_same_name_does_not_take_a_results_place(folder: Path) -> None:
    predict(folder)
    other = folder.rename(folder.parent / "moved")
    save(other / "a.png", PICTURE[::-1])
    predict(other)  # a picture that has moved and changed is the same picture
    save(folder / "a.png")
    result = folder.parent / "out/a.png"
    before = result.read_bytes()
    with pytest.raises(
        FoldsegError, match=r"out/a\.png: is the result of .*moved/a\.png; the result of .*in/a\.png would take"
    ):
        predict(folder)
    assert result.read_bytes() == before


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_holds_something_else_is_left_alone(folder: Path, form: str) -> None:
    """Above all a run's predictions, which a store would take for stale and remove."""
    out = folder.parent / "out"
    out.mkdir()
    (out / "a.prob").touch()
    with pytest.raises(FoldsegError, match=r"out: is no empty folder, and no prediction\.json says"):
        predict(folder, form)
    assert [path.name for path in out.iterdir()] == ["a.prob"]


def test_a_result_stays_when_its_picture_cannot_be_read_any_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: Path, *_: object) -> np.ndarray:
        raise FoldsegError(f"{path}: cannot be read: Permission denied")

    predict(folder)
    before = (folder.parent / "out/a.png").read_bytes()
    monkeypatch.setattr("foldseg.deploy.output_folder.hash_readable_files", lambda paths: ["" for _ in paths])
    monkeypatch.setattr("foldseg.deploy.images.read_image", unreadable)
    with pytest.raises(FoldsegError, match=r"3 of 3 pictures could not be predicted(.|\n)*a\.png: cannot be read"):
        predict(folder)
    assert (folder.parent / "out/a.png").read_bytes() == before


def test_damaged_pictures_are_named_once_all_others_are_done(folder: Path) -> None:
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    (folder / "e.jpg").write_bytes(b"\xff\xd8\xff no picture \xff\xd9")
    with pytest.raises(FoldsegError) as error:
        predict(folder)
    first, *others = str(error.value).splitlines()
    assert first.startswith("2 of 4 pictures could not be predicted, the others are in")
    assert "a.png: is cut short" in others[0] and "e.jpg: is cut short" in others[1]
    assert (folder.parent / "out/b.png").is_file() and (folder.parent / "out/city/c.png").is_file()
    (folder / "a.png").write_bytes(whole)
    (folder / "e.jpg").unlink()
    assert len(predict(folder).seen) == 1


def test_pictures_that_cannot_be_predicted_are_named(folder: Path) -> None:
    class Small(Painter):
        def predict_label_map(self, picture: np.ndarray) -> np.ndarray:
            raise FoldsegError("does not fit")

    with pytest.raises(FoldsegError, match=r"3 of 3 pictures could not .*\n.*in/a\.png: does not fit\n"):
        predict(folder, source=Small())


def test_a_full_disk_ends_it_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise FoldsegError("a.png: could not be written: No space left on device")

    monkeypatch.setattr("foldseg.deploy.forms.write_png", full)
    with pytest.raises(FoldsegError, match=r"^a\.png: could not be written"):
        predict(folder)


def test_the_description_says_how_it_was_predicted(folder: Path) -> None:
    predict(folder, "overlay")
    stated = read_json(folder.parent / "out/prediction.json")
    expected = {**Painter().provenance, "form": "overlay", "alpha": 0.5, "classes": camvid.LABELS.names}
    assert stated.items() >= expected.items()
    assert stated["labels"]["car"] == "raw ids 8, scored" and stated["labels"]["(drawn) car"] == [64, 0, 128]
    assert stated["contents"]["a"] == hash_file(folder / "a.png") and list(stated["contents"]) == ["a", "b", "city/c"]
