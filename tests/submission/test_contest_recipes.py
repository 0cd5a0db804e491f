"""Every recipe of `configs/contests`, on a made-up tree in the layout of its contest, with strings that are known.

The strings are those of a mask of 3 x 4 that pycocotools and the contests' own encoders give.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from foldseg.config import load_data, load_ensemble
from foldseg.config.schema.submissions import RunLength, SubmissionKind
from foldseg.data.datasets import DataSet
from foldseg.data.labels import LabelSet, Mask
from foldseg.data.mask_files import read_mask
from foldseg.data.rle import decode_rle
from foldseg.data.rle_text import encode_text
from foldseg.submission.formats import FORMATS, check_classes, open_submission
from foldseg.submission.interface import KnownImages
from foldseg.submission.submission_score import count_submission

REPOSITORY = Path(__file__).parents[2]
RECIPES = REPOSITORY / "configs/contests"
CLOUDS = ("Fish", "Flower", "Gravel", "Sugar")
SHAPE = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1]], np.uint8)
NOTHING = np.zeros_like(SHAPE)
DOWN, ROWS, RELATIVE = "3 5 12 1", "2 2 6 1 9 2 12 1", "2 5 4 1"
DICOM_ID = "1.2.276.0.7230010.3.1.4"


@dataclass(frozen=True)
class Contest:
    """What a contest has on disk, and what its files mean."""

    files: dict[str, str]
    """Name -> text."""
    images: tuple[str, ...]
    """Training images. The first one has the mask `SHAPE`, the second one has none."""
    tests: tuple[str, ...]
    """Test images, of which the first one is predicted as `SHAPE`, and the second one as empty."""
    sample: str
    """The sample file: its text."""
    submission: str
    """The text of the submission."""
    class_name: str
    """The class that `SHAPE` is of."""
    ids: tuple[str, ...]
    """Our ids of the training images, then of the test images."""
    groups: tuple[str, ...] | None = None
    """Groups of the training images."""
    bits: int = 8
    overrides: tuple[str, ...] = ()
    masks: dict[str, Mask] = field(default_factory=dict)
    """Name of a mask file -> its content."""


def composite(names: tuple[str, ...], suffix: str, labels: tuple[str, ...], full: dict[str, str]) -> str:
    return "".join(f"{name}{suffix}_{label},{full.get(f'{name}_{label}', '')}\n" for name in names for label in labels)


CONTESTS = {
    "tgs": Contest(
        {"train.csv": f"id,rle_mask\n000e218f21,{DOWN}\n003c477d7c,\n", "depths.csv": "id,z\n000e218f21,1\n"},
        ("train/images/000e218f21.png", "train/images/003c477d7c.png"),
        ("test/images/155410d6fa.png", "test/images/78b32781d1.png"),
        "id,rle_mask\n78b32781d1,1 1\n155410d6fa,1 1\n",
        f"id,rle_mask\n78b32781d1,\n155410d6fa,{DOWN}\n",
        "salt",
        ("000e218f21", "003c477d7c", "155410d6fa", "78b32781d1"),
    ),
    "severstal": Contest(
        {"train.csv": f"ImageId,ClassId,EncodedPixels\n0002cc93b.jpg,3,{DOWN}\n"},
        ("train_images/0002cc93b.jpg", "train_images/00031f466.jpg"),
        ("test_images/0000f269f.jpg", "test_images/000ccc2ac.jpg"),
        "ImageId,EncodedPixels,ClassId\n"
        + "".join(f"{i}.jpg,1 409600,{c}\n" for i in ("0000f269f", "000ccc2ac") for c in (1, 2, 3, 4)),
        "ImageId,EncodedPixels,ClassId\n"
        + "".join(
            f"{i}.jpg,{DOWN if (i, c) == ('0000f269f', 3) else ''},{c}\n"
            for i in ("0000f269f", "000ccc2ac")
            for c in (1, 2, 3, 4)
        ),
        "defect_3",
        ("0002cc93b", "00031f466", "0000f269f", "000ccc2ac"),
    ),
    "severstal_old": Contest(
        {
            "train.csv": "ImageId_ClassId,EncodedPixels\n"
            + composite(("0002cc93b", "00031f466"), ".jpg", ("1", "2", "3", "4"), {"0002cc93b_1": DOWN})
        },
        ("train_images/0002cc93b.jpg", "train_images/00031f466.jpg"),
        ("test_images/0000f269f.jpg", "test_images/000ccc2ac.jpg"),
        "ImageId_ClassId,EncodedPixels\n"
        + composite(("0000f269f", "000ccc2ac"), ".jpg", ("1", "2", "3", "4"), {"0000f269f_1": "1 409600"}),
        "ImageId_ClassId,EncodedPixels\n"
        + composite(("0000f269f", "000ccc2ac"), ".jpg", ("1", "2", "3", "4"), {"0000f269f_1": DOWN}),
        "defect_1",
        ("0002cc93b", "00031f466", "0000f269f", "000ccc2ac"),
    ),
    "hubmap": Contest(
        {
            "train.csv": f"id,encoding\n0486052bb,{DOWN}\n095bf7a1f,\n",
            "HuBMAP-20-dataset_information.csv": "image_file,patient_number\n0486052bb.tiff,7\n095bf7a1f.tiff,8\n",
        },
        ("train/0486052bb.tiff", "train/095bf7a1f.tiff"),
        ("test/2ec3f1bb9.tiff", "test/3589adb90.tiff"),
        "id,predicted\n2ec3f1bb9,\n3589adb90,\n",
        f"id,predicted\n2ec3f1bb9,{DOWN}\n3589adb90,\n",
        "glomerulus",
        ("0486052bb", "095bf7a1f", "2ec3f1bb9", "3589adb90"),
        groups=("7", "8"),
    ),
    "hubmap_hpa": Contest(
        {
            "train.csv": "id,organ,data_source,img_height,img_width,pixel_size,rle\n"
            f"10044,prostate,HPA,3,4,0.4,{DOWN}\n10274,spleen,HPA,3,4,0.4,\n"
        },
        ("train_images/10044.tiff", "train_images/10274.tiff"),
        ("test_images/10078.tiff", "test_images/10079.tiff"),
        "id,rle\n10078,\n10079,\n",
        f"id,rle\n10078,{DOWN}\n10079,\n",
        "tissue",
        ("10044", "10274", "10078", "10079"),
    ),
    "uw_madison": Contest(
        {
            "train.csv": "id,class,segmentation\n"
            + "".join(
                f"case123_day20_slice_000{s},{c},{DOWN if (s, c) == (1, 'stomach') else ''}\n"
                for s in (1, 2)
                for c in ("large_bowel", "small_bowel", "stomach")
            )
        },
        tuple(f"train/case123/case123_day20/scans/slice_000{s}_4_3_1.50_1.50.png" for s in (1, 2)),
        tuple(f"test/case9/case9_day0/scans/slice_000{s}_4_3_1.50_1.50.png" for s in (1, 2)),
        "id,class,predicted\n"
        + "".join(f"case9_day0_slice_000{s},{c},\n" for s in (2, 1) for c in ("large_bowel", "small_bowel", "stomach")),
        "id,class,predicted\n"
        + "".join(
            f"case9_day0_slice_000{s},{c},{DOWN if (s, c) == (1, 'stomach') else ''}\n"
            for s in (2, 1)
            for c in ("large_bowel", "small_bowel", "stomach")
        ),
        "stomach",
        (
            "case123_day20_slice_0001",
            "case123_day20_slice_0002",
            "case9_day0_slice_0001",
            "case9_day0_slice_0002",
        ),
        groups=("case123", "case123"),
        bits=16,
    ),
    "carvana": Contest(
        {"train_masks.csv": f"img,rle_mask\n00087a6bd4dc_01.jpg,{ROWS}\n00087a6bd4dc_02.jpg,\n"},
        ("train/00087a6bd4dc_01.jpg", "train/00087a6bd4dc_02.jpg"),
        ("test/0004d4463b50_01.jpg", "test/0004d4463b50_02.jpg"),
        "img,rle_mask\n0004d4463b50_01.jpg,\n0004d4463b50_02.jpg,\n",
        f"img,rle_mask\n0004d4463b50_01.jpg,{ROWS}\n0004d4463b50_02.jpg,\n",
        "car",
        ("00087a6bd4dc_01", "00087a6bd4dc_02", "0004d4463b50_01", "0004d4463b50_02"),
        groups=("00087a6bd4dc", "00087a6bd4dc"),
    ),
    "airbus": Contest(
        {
            "train_ship_segmentations_v2.csv": "ImageId,EncodedPixels\n"
            "000194a2d.jpg,3 5\n000194a2d.jpg,12 1\n00003e153.jpg,\n6384c3e78.jpg,1 1\n"
        },
        ("train_v2/000194a2d.jpg", "train_v2/00003e153.jpg", "train_v2/6384c3e78.jpg"),
        ("test_v2/00002bd58.jpg", "test_v2/00015efb6.jpg"),
        "ImageId,EncodedPixels\n00015efb6.jpg,\n00002bd58.jpg,1 2\n",
        "ImageId,EncodedPixels\n00015efb6.jpg,\n00002bd58.jpg,3 5\n00002bd58.jpg,12 1\n",
        "ship",
        ("000194a2d", "00003e153", "00002bd58", "00015efb6"),
    ),
    "vesuvius": Contest(
        {},
        ("train/1/surface_volume/32.tif", "train/2/surface_volume/32.tif"),
        ("test/a/surface_volume/32.tif", "test/b/surface_volume/32.tif"),
        "Id,Predicted\na,1 1\nb,1 1\n",
        f"Id,Predicted\na,{ROWS}\nb,\n",
        "ink",
        ("1", "2", "a", "b"),
        bits=16,
        masks={"train/1/inklabels.png": SHAPE * 255, "train/2/inklabels.png": NOTHING},
    ),
}
CONTESTS["siim"] = Contest(
    {"train-rle.csv": f"ImageId, EncodedPixels\n{DICOM_ID}.1,  2 5\n{DICOM_ID}.1,  11 1\n{DICOM_ID}.2,  -1\n"},
    tuple(f"dicom-images-train/s{n}/t{n}/{DICOM_ID}.{n}.dcm" for n in (1, 2)),
    tuple(f"dicom-images-test/s{n}/t{n}/{DICOM_ID}.{n}.dcm" for n in (3, 4)),
    f"ImageId,EncodedPixels\n{DICOM_ID}.4,-1\n{DICOM_ID}.3,-1\n{DICOM_ID}.3,-1\n",
    f"ImageId,EncodedPixels\n{DICOM_ID}.4,-1\n{DICOM_ID}.3,2 5\n{DICOM_ID}.3,11 1\n",
    "pneumothorax",
    tuple(f"{DICOM_ID}.{n}" for n in (1, 2, 3, 4)),
)
CONTESTS["contrails"] = Contest(
    {},
    ("train/1000/band_11.npy", "train/1001/band_11.npy"),
    ("test/1002/band_11.npy", "test/1003/band_11.npy"),
    "record_id,encoded_pixels\n1002,-\n1003,-\n",
    f"record_id,encoded_pixels\n1002,{DOWN}\n1003,-\n",
    "contrail",
    ("1000", "1001", "1002", "1003"),
    masks={
        "train/1000/human_pixel_masks.npy": SHAPE[..., None].astype(np.int32),
        "train/1001/human_pixel_masks.npy": NOTHING[..., None].astype(np.int32),
    },
)
"""Name of a recipe -> its contest."""
every_contest = pytest.mark.parametrize("name", CONTESTS)


def build(root: Path, contest: Contest) -> None:
    """Write the files of a contest."""
    for name, text in {**contest.files, "sample.csv": contest.sample}.items():
        root.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    grey: Any = np.full((3, 4), 40_000, np.uint16) if contest.bits == 16 else np.full((3, 4, 3), 99, np.uint8)
    pictures = dict.fromkeys((*contest.images, *contest.tests), grey)
    for name, picture in {**pictures, **contest.masks}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(root / name, picture)


def write_picture(path: Path, picture: Any) -> None:
    """Write a picture, or an array of 8 times if it is one of numbers. DICOM files hold one channel."""
    if path.name.startswith("band_"):
        np.save(path, np.full((3, 4, 8), 250.0, np.float32))
    elif path.suffix == ".npy":
        np.save(path, picture)
    elif path.suffix == ".dcm":
        write_dicom(path, np.ascontiguousarray(picture[..., 0]))
    else:
        assert cv2.imwrite(str(path), picture)


def write_dicom(path: Path, grey: Any) -> None:
    """Write a grey picture (H, W) uint8 as a DICOM file."""
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = path.stem
    dataset.Rows, dataset.Columns = grey.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = grey.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def open_data(root: Path, name: str) -> DataSet:
    information = root / "HuBMAP-20-dataset_information.csv"
    words = [f"data.root={root}", *([f"data.groups.file={information}"] if name == "hubmap" else [])]
    return DataSet(load_data(RECIPES / f"{name}.yaml", words))


def settings_of(root: Path, name: str) -> SubmissionKind:
    words = ["members=[{experiment: x}]", f"submission.sample={root / 'sample.csv'}"]
    return load_ensemble(RECIPES / f"{name}_submission.yaml", words).submission


def mask_of(shape: Mask, labels: LabelSet, name: str) -> Mask:
    index = labels.names.index(name)
    return shape * np.uint8(1 << index if labels.overlapping else index)


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


@every_contest
def test_the_truth_is_read(tmp_path: Path, name: str) -> None:
    contest = CONTESTS[name]
    build(tmp_path, contest)
    data = open_data(tmp_path, name)
    table = data.samples
    assert sorted(table["id"]) == sorted(contest.ids)
    assert sorted(data.test["id"]) == sorted(contest.ids[2:])
    rows = table.set_index("id").loc[list(contest.ids[:2])]
    masks = [read_mask(data.root / mask, data.labels, data.pictures) for mask in rows["mask"]]
    assert masks[0].tolist() == mask_of(SHAPE, data.labels, contest.class_name).tolist()
    assert masks[1].tolist() == NOTHING.tolist()
    if contest.groups is not None:
        assert tuple(rows["group"]) == contest.groups
    data.check_files()


@every_contest
def test_the_submission_is_as_the_sample(tmp_path: Path, name: str) -> None:
    contest = CONTESTS[name]
    build(tmp_path, contest)
    data, settings = open_data(tmp_path, name), settings_of(tmp_path, name)
    check_classes(settings, data.labels)
    images = KnownImages(data.images, dict.fromkeys(contest.ids[2:], (3, 4)))
    predicted = {
        contest.ids[2]: mask_of(SHAPE, data.labels, contest.class_name),
        contest.ids[3]: NOTHING,
    }
    path = tmp_path / "submission.csv"
    FORMATS[RunLength].write(settings, path, sorted(predicted.items()), data.labels, images)
    assert path.read_bytes().decode() == contest.submission
    submission = open_submission(path, data.labels, settings, images)
    for test, mask in predicted.items():
        found = submission.read(test, (3, 4))
        planes = np.stack([decode_rle(rle, (3, 4)) for rle in found])
        assert planes.tolist() == data.labels.class_planes(mask).tolist()


def test_clouds_is_written_at_the_size_of_the_contest(tmp_path: Path) -> None:
    train, test = ("0011165", "002be4f"), ("002f507", "0035ae9")
    fish = np.zeros((1400, 2100), np.uint8)
    fish[100:200, 400:404] = 1
    runs = " ".join(f"{column * 1400 + 101} 100" for column in range(400, 404))
    root = tmp_path
    rows = composite(train, ".jpg", CLOUDS, dict.fromkeys(("0011165_Fish", "0011165_Sugar"), runs))
    (root / "train.csv").write_text(f"Image_Label,EncodedPixels\n{rows}")
    for folder, names in (("train_images", train), ("test_images", test)):
        (root / folder).mkdir()
        for name in names:
            assert cv2.imwrite(str(root / folder / f"{name}.jpg"), np.zeros((1400, 2100, 3), np.uint8))
    sample = composite(test, ".jpg", CLOUDS, {})
    (root / "sample.csv").write_text(f"Image_Label,EncodedPixels\n{sample}")
    data, settings = open_data(root, "clouds"), settings_of(root, "clouds")
    mask = read_mask(root / data.samples.set_index("id").loc["0011165", "mask"], data.labels)
    assert (mask == fish * (1 + 8)).all()

    images = KnownImages(data.images, dict.fromkeys(test, (1400, 2100)))
    predicted = {test[0]: fish * np.uint8(1 + 8), test[1]: np.zeros_like(fish)}
    FORMATS[RunLength].write(settings, root / "submission.csv", predicted.items(), data.labels, images)
    # Columns 400 to 403 are column 100 of 525, and rows 100 to 199 are rows 25 to 49 of 350
    small = f"{100 * 350 + 26} 25"
    expected = composite(test, ".jpg", CLOUDS, dict.fromkeys(("002f507_Fish", "002f507_Sugar"), small))
    assert (root / "submission.csv").read_text() == f"Image_Label,EncodedPixels\n{expected}"


def test_a_submission_of_another_size_is_scored_in_that_size(tmp_path: Path) -> None:
    """The truth is resized as the prediction was, so the truth itself scores 1, also where that loses a thin line."""
    shape = np.zeros((700, 1050), np.uint8)
    shape[100:200, 300:500] = 1
    shape[301] = 1
    runs = encode_text(shape.view(bool))
    for name in ("a", "b"):
        (tmp_path / "train_images").mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / f"train_images/{name}.jpg"), np.zeros((700, 1050, 3), np.uint8))
    rows = composite(("a", "b"), ".jpg", CLOUDS, {"a_Fish": runs, "b_Sugar": runs})
    (tmp_path / "train.csv").write_text(f"Image_Label,EncodedPixels\n{rows}")
    words = [f"data.root={tmp_path}", "data.dataset.test_images=[]"]
    data = DataSet(load_data(RECIPES / "clouds.yaml", words))
    settings = RunLength(size=(350, 525), columns=("Image_Label", "EncodedPixels"))
    masks = {"a": shape, "b": shape * np.uint8(8)}
    sizes = dict.fromkeys(masks, (700, 1050))
    path = tmp_path / "s.csv"
    FORMATS[RunLength].write(settings, path, masks.items(), data.labels, KnownImages(data.images, sizes))
    scores = count_submission(path, data, settings=settings).compute_scores()
    assert scores["image_mean_dice"].value == 1
    assert scores["dataset_mean_dice_scored"].per_class["Fish"] == 1
    truth = count_submission(path, data, tmp_path / "train.csv", settings=settings, true_settings=RunLength())
    assert truth.compute_scores()["image_mean_dice"].value == 1


def test_every_recipe_is_short_and_tested() -> None:
    names = {path.stem for path in RECIPES.glob("*.yaml") if not path.stem.endswith("_submission")}
    assert names == {*CONTESTS, "clouds"}
    for name in names:
        assert len((RECIPES / f"{name}.yaml").read_text().splitlines()) <= 20
        assert len((RECIPES / f"{name}_submission.yaml").read_text().splitlines()) <= 6
