"""SIGNATE's AI Edge Contest 1 (segmentation): `seg_train_images seg_train_annotations seg_test_images`.

Annotations are RGB PNGs of 20 colours, each with a JSON beside it that holds the route, the time of day and the
frame index. Scored are car, pedestrian, lane and signal.
"""

from pathlib import Path

import pandas as pd

from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.listing import MASKS, Listing, list_files, pair_by_stem
from foldseg.data.samples import build_samples_table, require_folder, shorten
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from foldseg.notices import say_once

SIGNATE_COLOURS: dict[str, tuple[int, int, int]] = {
    "car": (0, 0, 255),
    "pedestrian": (255, 0, 0),
    "lane": (69, 47, 142),
    "bus": (193, 214, 0),
    "truck": (180, 0, 129),
    "svehicle": (255, 121, 166),
    "motorbike": (65, 166, 1),
    "bicycle": (208, 149, 1),
    "signal": (255, 255, 0),
    "signs": (255, 134, 0),
    "sky": (0, 152, 225),
    "building": (0, 203, 151),
    "natural": (85, 255, 50),
    "wall": (92, 136, 125),
    "ground": (136, 45, 66),
    "sidewalk": (0, 255, 255),
    "roadshoulder": (215, 0, 255),
    "obstacle": (180, 131, 135),
    "others": (81, 99, 0),
    "own": (86, 62, 67),
}
SUFFIX = ".jpg"
SCORED = ("car", "pedestrian", "lane", "signal")
LABELS = LabelSet(
    tuple(
        LabelClass(name, colour, (raw_id,), scored=name in SCORED)
        for raw_id, (name, colour) in enumerate(SIGNATE_COLOURS.items())
    ),
    raw_colours=tuple(SIGNATE_COLOURS.values()),
)


def scan(root: Path) -> pd.DataFrame:
    """Return the samples table of the data below `root`.

    The stratum is the route and the time of day. A group is a sequence of consecutive frame indices within a stratum.
    Test images have no attributes, so their stratum is "" and each is a group of its own.
    """
    require_folder(root)
    images = list_files(root / "seg_train_images", usual=SUFFIX)
    annotations = list_files(root / "seg_train_annotations", (*MASKS, ".json"))
    pairs = pair_by_stem(images, annotations.only(MASKS))
    attributes = _read_attributes([image.stem for image, _ in pairs], annotations.only((".json",)))
    groups = _find_groups(attributes)
    train = [
        (
            image.stem,
            f"seg_train_images/{image.name}",
            f"seg_train_annotations/{mask.name}",
            "train",
            groups[row],
            stratum,
        )
        for row, ((image, mask), stratum) in enumerate(zip(pairs, attributes["stratum"], strict=True))
    ]
    if not train:
        raise FoldsegError(f"{images.folder}: holds no images")
    tests = list_files(root / "seg_test_images", usual=SUFFIX)
    tests.require_all()
    test = [(stem, f"seg_test_images/{image.name}", "", "test", stem, "") for stem, image in tests.by_stem.items()]
    return build_samples_table(train + test, root)


def _read_attributes(names: list[str], annotations: Listing) -> pd.DataFrame:
    """Return the columns `stratum` and `frame` of the images `names`, each from the JSON of the same name."""
    files = annotations.by_stem
    spare = sorted(set(files) - set(names))
    if spare:
        say_once(f"{annotations.folder}: {len(spare)} .json of no image are passed over: {shorten(spare)}")
    rows = [_read_annotation(files.get(name, annotations.folder / f"{name}.json")) for name in names]
    return pd.DataFrame(rows, columns=["stratum", "frame"])


def _read_annotation(path: Path) -> tuple[str, int]:
    """Return the stratum and the frame index that an annotation states."""
    content = read_json(path)
    try:
        attributes = content["attributes"]
        return f"{attributes['route']}/{attributes['timeofday']}", int(content["frameIndex"])
    except (KeyError, TypeError, ValueError) as error:
        raise FoldsegError(
            f"{path}: should hold attributes.route, attributes.timeofday and frameIndex ({error!r})"
        ) from error


def _find_groups(attributes: pd.DataFrame) -> dict[int, str]:
    """Return the group of each row, by its number.

    A group is a sequence of consecutive frame indices within a stratum. It is named by the stratum and its first frame.
    """
    ordered = attributes.sort_values(["stratum", "frame"], kind="stable")
    starts = (ordered["stratum"] != ordered["stratum"].shift()) | (ordered["frame"].diff() > 1)
    first = ordered["frame"].where(starts).ffill().astype(int)
    names = ordered["stratum"] + "/" + first.astype(str)
    return {int(str(index)): str(name) for index, name in names.items()}
