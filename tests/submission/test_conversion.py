"""Colour PNGs to the contest's JSON and back."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from command.line import CommandLine
from foldseg.config.schema import Data, DatasetKind
from foldseg.data import camvid, signate
from foldseg.data.datasets import DataSet
from foldseg.data.reading import read_image
from foldseg.data.rle import encode_mask
from foldseg.errors import FoldsegError
from foldseg.submission import signate_json
from foldseg.submission.conversion import convert_submission, convert_to_json, convert_to_pngs, merge_categories

LABELS = signate.LABELS
SCORED = LABELS.select("scored")
COLOURS = np.vstack([LABELS.colours, np.zeros((235, 3), np.uint8)])  # of indices 0 to 254; what is no class is black
BLACK = 20
SHAPES = st.one_of(
    st.just((1, 1)), st.tuples(st.just(1), st.integers(1, 9)), st.tuples(st.integers(1, 7), st.integers(1, 9))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the examples of hypothesis: each writes the same names again."""
    return tmp_path_factory.mktemp("colour")


def write_rgb(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


def row(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.array([colours], np.uint8)


def scored_alone(indices: np.ndarray) -> np.ndarray:
    return np.where(np.isin(indices, np.flatnonzero(LABELS.scored)), indices, BLACK)


def data_of(root: Path, dataset: str = "signate") -> DataSet:
    return DataSet(Data(dataset=DatasetKind.parse(dataset), root=root, folds=root / "folds.csv"))


@pytest.mark.parametrize("labels", [LABELS, SCORED], ids=len)
@given(pictures=st.lists(SHAPES.flatmap(lambda s: hnp.arrays(np.uint8, s, elements=st.integers(0, BLACK))), min_size=1))
def test_pngs_come_back_without_what_is_not_scored(folder: Path, labels, pictures: list[np.ndarray]) -> None:
    """Whatever the model was trained on: the colours of an annotation are those of all 20 classes."""
    source, back = folder / f"source_{len(pictures)}", folder / f"back_{len(pictures)}"
    for number, indices in enumerate(pictures):
        write_rgb(source / f"test_{number:03d}.png", COLOURS[indices])
    convert_to_json(source, folder / "s.json", labels)
    convert_to_pngs(folder / "s.json", back, labels, None, {f"test_{i:03d}": p.shape for i, p in enumerate(pictures)})
    for number, indices in enumerate(pictures):
        assert np.array_equal(read_image(back / f"test_{number:03d}.png"), COLOURS[scored_alone(indices)])


@given(st.data())
def test_a_json_whose_categories_do_not_overlap_comes_back(folder: Path, data: st.DataObject) -> None:
    masks = {n: data.draw(SHAPES.flatmap(lambda s: hnp.arrays(np.uint8, s, elements=st.integers(0, 4)))) for n in "ab"}
    signate_json.write(folder / "before.json", masks.items(), SCORED)
    convert_to_pngs(folder / "before.json", folder / "pngs", SCORED, None, {name: m.shape for name, m in masks.items()})
    convert_to_json(folder / "pngs", folder / "after.json", SCORED)
    assert (folder / "after.json").read_bytes() == (folder / "before.json").read_bytes()


def test_every_colour_of_the_contest_by_hand(tmp_path: Path) -> None:
    write_rgb(tmp_path / "in/a.png", np.stack([LABELS.colours, LABELS.colours[::-1]]))
    convert_to_json(tmp_path / "in", tmp_path / "s.json", LABELS)
    assert json.loads((tmp_path / "s.json").read_bytes()) == {
        "a.jpg": {
            "car": {"0": [[0, 0]], "1": [[19, 19]]},
            "pedestrian": {"0": [[1, 1]], "1": [[18, 18]]},
            "lane": {"0": [[2, 2]], "1": [[17, 17]]},
            "signal": {"0": [[8, 8]], "1": [[11, 11]]},
        }
    }


def test_an_unknown_colour_is_named_with_its_file_and_leaves_the_old_json(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{}")
    write_rgb(tmp_path / "in/a.png", row((0, 0, 255)))
    write_rgb(tmp_path / "in/b.png", row((0, 0, 255), (0, 0, 254), (0, 0, 0), (1, 2, 3)))
    with pytest.raises(
        FoldsegError, match=r"b\.png: holds 2 unknown colour\(s\), e\.g\. RGB \(0, 0, 254\), \(1, 2, 3\)"
    ):
        convert_to_json(tmp_path / "in", tmp_path / "s.json", LABELS)
    assert (tmp_path / "s.json").read_text() == "{}"
    assert not list(tmp_path.glob(".*"))


def test_a_truncated_png_is_found_before_anything_is_written(tmp_path: Path) -> None:
    for name in "ab":
        write_rgb(tmp_path / f"in/{name}.png", row((0, 0, 255)))
    content = (tmp_path / "in/b.png").read_bytes()
    (tmp_path / "in/b.png").write_bytes(content[:-9])
    with pytest.raises(FoldsegError, match=r"b\.png: is cut short"):
        convert_to_json(tmp_path / "in", tmp_path / "s.json", LABELS)
    assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize(
    ("shape", "says"), [((2, 2), r"holds 1 unknown colour\(s\)"), ((2, 2, 4), "4 of its pixels are transparent")]
)
def test_a_png_of_ids_or_with_an_alpha_channel_is_refused(tmp_path: Path, shape: tuple[int, ...], says: str) -> None:
    (tmp_path / "in").mkdir()
    assert cv2.imwrite(str(tmp_path / "in/a.png"), np.ones(shape, np.uint8))
    with pytest.raises(FoldsegError, match=rf"a\.png: {says}"):
        convert_to_json(tmp_path / "in", tmp_path / "s.json", LABELS)


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"a": (1, 2), "b": (1, 1)}, r"in: 1 image\(s\) are missing \(b\), 0 are not asked for"),
        ({"b": (1, 2)}, r"in: 1 image\(s\) are missing \(b\), 1 are not asked for \(a\)"),
        ({"a": (2, 1)}, r"a\.png: is \(1, 2\), the image \(2, 1\) \(height, width\)"),
    ],
)
def test_pngs_that_are_not_those_asked_for_are_named(tmp_path: Path, sizes: dict, says: str) -> None:
    write_rgb(tmp_path / "in/a.png", row((0, 0, 255), (0, 0, 0)))
    with pytest.raises(FoldsegError, match=says):
        convert_to_json(tmp_path / "in", tmp_path / "s.json", LABELS, sizes)
    assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"a": (1, 2), "b": (1, 1)}, r"s\.json: 1 image\(s\) are missing \(b\), 0 are not asked for"),
        ({"a": (1, 1)}, r"s\.json: a\.jpg, lane, row 0: segment \[0, 1\] is .*outside of an image 1 wide"),
    ],
)
def test_a_json_that_is_not_of_the_images_asked_for_is_refused(tmp_path: Path, sizes: dict, says: str) -> None:
    (tmp_path / "s.json").write_text('{"a.jpg":{"lane":{"0":[[0,1]]}}}')
    with pytest.raises(FoldsegError, match=says):
        convert_to_pngs(tmp_path / "s.json", tmp_path / "out", LABELS, None, sizes)


def test_what_holds_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(FoldsegError, match="in: holds no PNGs"):
        convert_to_json(tmp_path / "in", tmp_path / "out.json", LABELS)
    with pytest.raises(FoldsegError, match=r"s\.json: holds no images"):
        convert_to_pngs(tmp_path / "s.json", tmp_path / "out", LABELS, (1, 1))


def test_pngs_of_other_images_are_neither_removed_nor_mixed_with(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"a.jpg":{}}')
    write_rgb(tmp_path / "out/train_0001.png", row((0, 0, 255)))
    with pytest.raises(FoldsegError, match=r"out: holds 1 PNG\(s\) of other images, e\.g\. train_0001\.png"):
        convert_to_pngs(tmp_path / "s.json", tmp_path / "out", LABELS, (1, 1))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train_0001.png"]


@pytest.mark.parametrize("name", ["../a", "/a", "b/a", "a\0", "."])
def test_an_id_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "s.json").write_text(json.dumps({f"{name}.jpg": {}}))
    with pytest.raises(FoldsegError, match=r"s\.json: image .* cannot be the name of a file"):
        convert_to_pngs(tmp_path / "s.json", tmp_path / "out", LABELS, (1, 1))


def test_a_destination_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"a.jpg":{}}')
    write_rgb(tmp_path / "in/a.png", row((0, 0, 255)))
    with pytest.raises(FoldsegError, match=r"out: should end in \.json, since .*in is a folder of PNGs"):
        convert_to_json(tmp_path / "in", tmp_path / "out", LABELS)
    with pytest.raises(FoldsegError, match=r"out\.json: should be a folder, for the PNGs of .*s\.json"):
        convert_to_pngs(tmp_path / "s.json", tmp_path / "out.json", LABELS, (1, 1))


def test_masks_of_ids_cannot_be_converted(tmp_path: Path) -> None:
    write_rgb(tmp_path / "in/a.png", row((0, 0, 255)))
    with pytest.raises(FoldsegError, match="the masks of this data set hold ids"):
        convert_to_json(tmp_path / "in", tmp_path / "s.json", camvid.LABELS)


def test_later_categories_are_painted_over_earlier_ones_and_said_so(tmp_path: Path, caplog) -> None:
    """Pixels: car; car, pedestrian and signal; lane and signal; none. The second image has no overlap."""
    (tmp_path / "s.json").write_text(
        '{"a.jpg":{"signal":{"0":[[1,2]]},"car":{"0":[[0,1]]},"pedestrian":{"0":[[1,1]]},"lane":{"0":[[2,2]]}},'
        '"b.jpg":{"car":{"0":[[0,0]]}}}'
    )
    with caplog.at_level(logging.WARNING):
        convert_to_pngs(tmp_path / "s.json", tmp_path / "out", LABELS, (1, 4))
    car, signal = LABELS.classes[0].colour, LABELS.classes[8].colour
    assert np.array_equal(read_image(tmp_path / "out/a.png"), row(car, signal, signal, (0, 0, 0)))
    assert [r.getMessage().partition(": ")[2] for r in caplog.records] == [
        "categories overlap in 2 pixels of 1 image(s); there the PNGs show the last in the order "
        "car, pedestrian, lane, signal"
    ]


def test_no_warning_without_overlap(tmp_path: Path, caplog) -> None:
    (tmp_path / "s.json").write_text('{"b.jpg":{"car":{"0":[[0,0]]},"lane":{"0":[[1,1]]}}}')
    with caplog.at_level(logging.WARNING):
        convert_to_pngs(tmp_path / "s.json", tmp_path / "out", LABELS, (1, 2))
    assert not caplog.records


@given(SHAPES.flatmap(lambda shape: hnp.arrays(bool, (3, *shape))))
def test_flattening_agrees_with_a_slow_loop(masks: np.ndarray) -> None:
    indices, overlap = merge_categories([encode_mask(mask) for mask in masks], masks.shape[1:])
    pixels = [np.flatnonzero(pixel).tolist() for pixel in masks.reshape(3, -1).T]
    assert indices.ravel().tolist() == [max(classes, default=255) for classes in pixels]
    assert overlap == sum(len(classes) > 1 for classes in pixels)


def test_ids_and_sizes_are_those_of_the_test_images(signate_root: Path, tmp_path: Path) -> None:
    for name, size in (("test_000", (48, 64)), ("test_001", (48, 63))):
        write_rgb(tmp_path / f"in/{name}.png", np.zeros((*size, 3), np.uint8))
    data = data_of(signate_root)
    with pytest.raises(FoldsegError, match=r"test_001\.png: is \(48, 63\), the image \(48, 64\)"):
        convert_submission(tmp_path / "in", tmp_path / "s.json", data)
    convert_submission(tmp_path / "in", tmp_path / "s.json", data, check=False)
    convert_submission(tmp_path / "s.json", tmp_path / "out", data)
    assert read_image(tmp_path / "out/test_001.png").shape == (48, 64, 3)
    (tmp_path / "in/test_001.png").unlink()
    with pytest.raises(FoldsegError, match=r"1 image\(s\) are missing \(test_001\)"):
        convert_submission(tmp_path / "in", tmp_path / "s.json", data)


def test_data_without_test_images_is_said(signate_root: Path, tmp_path: Path) -> None:
    for image in (signate_root / "seg_test_images").iterdir():
        image.unlink()
    with pytest.raises(FoldsegError, match="has no test images to check against"):
        convert_submission(tmp_path / "s.json", tmp_path / "out", data_of(signate_root))


@pytest.mark.parametrize("dataset", ["signate", "toy_city"])
def test_data_that_is_not_there_is_said_and_not_built(tmp_path: Path, dataset: str, caplog) -> None:
    (tmp_path / "s.json").write_text('{"a.jpg":{}}')
    with caplog.at_level(logging.INFO):
        convert_submission(tmp_path / "s.json", tmp_path / "out", data_of(tmp_path / "none", dataset), (3, 2))
    assert read_image(tmp_path / "out/a.png").shape == (3, 2, 3)
    assert "none: no such folder, so ids and sizes are not checked against the test images" in caplog.text
    assert not (tmp_path / "none").exists()


def test_the_script_converts_there_and_back_and_says_what_it_did_not_check(
    command_line: CommandLine, signate_root: Path, tmp_path: Path
) -> None:
    pictures = np.random.default_rng(0).integers(0, 21, (2, 48, 64))
    for number, indices in enumerate(pictures):
        write_rgb(tmp_path / f"in/test_{number:03d}.png", COLOURS[indices])
    there = command_line.run("convert", tmp_path / "in", tmp_path / "s.json", f"data.root={signate_root}")
    assert there.status == 0, there.stderr
    assert "s.json: 2 images, read back and valid" in there.stderr and "not checked" not in there.stderr
    back = command_line.run("convert", tmp_path / "s.json", tmp_path / "out", "data.root=nowhere", "--size", "64x48")
    assert back.status == 0, back.stderr
    assert "nowhere: no such folder, so ids and sizes are not checked" in back.stderr and "overlap" not in back.stderr
    for number, indices in enumerate(pictures):
        found = read_image(tmp_path / f"out/test_{number:03d}.png")
        assert np.array_equal(found, COLOURS[scored_alone(indices)])


def test_the_script_says_what_is_wrong_without_a_traceback(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line.run("convert", tmp_path / "nothing.json", tmp_path / "out", "data.root=nowhere")
    assert done.status == 1
    assert "nothing.json: no such file or folder" in done.stderr and "Traceback" not in done.stderr
