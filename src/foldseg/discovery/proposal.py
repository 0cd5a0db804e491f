"""What is proposed for the files of a person: settings of a data set, a first experiment and a first ensemble."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foldseg.data.headers import Header
from foldseg.data.reading import read_image_header
from foldseg.discovery.mask_survey import MaskSurvey
from foldseg.errors import FoldsegError

_MANY_GROUPS = 10
_LARGE = 1024
"""Images with a longer side are predicted in tiles."""
_CROPS = (512, 384, 256, 192, 128, 96, 64, 32)
_WHOLE = 192
"""Images of one size up to this are trained on as a whole."""
_MOST_HEADERS = 20_000


@dataclass
class Proposal:
    """Settings, and what was seen and not seen in the files."""

    name: str
    root: Path
    dataset: dict[str, Any]
    """The block `data.dataset`."""
    data: dict[str, Any] = field(default_factory=dict)
    """Other settings of the block `data`."""
    options: list[str] = field(default_factory=list)
    """Lines of YAML that are written as comments: what may be wanted, too."""
    has_masks: bool = True
    """Whether images with masks were found."""
    group_count: int = 0
    """Number of groups that folds can be made of."""
    view: dict[str, Any] = field(default_factory=dict)
    score: str = "dataset_miou"
    submission: Any = "label_png"
    found: list[str] = field(default_factory=list)
    """Sentences on what was found."""
    unseen: list[str] = field(default_factory=list)
    """Sentences on what files cannot tell."""

    @property
    def fold_count(self) -> int:
        """Five folds, or as many as few groups can be divided into evenly."""
        if self.group_count >= _MANY_GROUPS:
            return 5
        even = [count for count in (5, 4, 3, 2) if count <= self.group_count and self.group_count % count == 0]
        return even[0] if even else max(2, min(5, self.group_count))

    @property
    def overlapping(self) -> bool:
        """Whether classes overlap."""
        return bool(self.dataset.get("overlapping"))


@dataclass(frozen=True)
class ImageSurvey:
    """Sizes and forms of images."""

    sizes: Counter[tuple[int, int]]
    """(height, width) -> number of images."""
    forms: Counter[str]
    """`8-bit JPEG, 3 channels` -> number of images."""
    turned: int
    """Number of images with an EXIF orientation."""
    damaged: list[str]
    """Errors of images that cannot be read."""
    unread: int = 0
    """Number of images that were not looked at."""

    @property
    def sentences(self) -> list[str]:
        """What was found."""
        shapes = self.sizes.most_common(3)
        text = ", ".join(f"{width}x{height} ({count})" for (height, width), count in shapes)
        more = f" and {len(self.sizes) - 3} other sizes" if len(self.sizes) > 3 else ""
        forms = ", ".join(f"{form} ({count})" for form, count in self.forms.most_common(4))
        sentences = [f"sizes of images: {text}{more}", f"forms of images: {forms}"]
        if self.turned:
            sentences.append(f"{self.turned} images have an EXIF orientation and are turned upright")
        if self.unread:
            sentences.append(f"{self.unread} more images were not looked at")
        if self.damaged:
            sentences.append(f"{len(self.damaged)} images cannot be read: {self.damaged[0]}")
        return sentences


def survey_images(paths: Sequence[Path]) -> ImageSurvey:
    """Read the headers of images. FoldsegError if none can be read."""
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(_read_header, paths[:_MOST_HEADERS]))
    headers = [outcome for outcome in outcomes if isinstance(outcome, Header)]
    damaged = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if not headers:
        raise FoldsegError("\n  ".join(["none of the images can be read:", *damaged[:5]]))
    sizes = Counter(header.size(upright=True) for header in headers)
    forms = Counter(_describe_form(header) for header in headers)
    turned = sum(header.orientation != 1 for header in headers)
    return ImageSurvey(sizes, forms, turned, damaged, max(0, len(paths) - _MOST_HEADERS))


def _read_header(path: Path) -> Header | str:
    try:
        return read_image_header(path)
    except FoldsegError as error:
        return str(error)


def _describe_form(header: Header) -> str:
    return f"{header.bits or 8}-bit {header.kind}"


def propose_view(sizes: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Return the views for images of these sizes (height, width): what is trained on, and how they are predicted."""
    sizes = list(sizes)
    smallest, longest = min(min(size) for size in sizes), max(max(size) for size in sizes)
    is_small = len(set(sizes)) == 1 and longest <= _WHOLE
    crop = next((side for side in _CROPS if side <= smallest), _CROPS[-1])
    train: dict[str, Any] = (
        {"kind": "full"} if is_small else {"kind": "crop", "size": [crop, crop], "scale": [0.75, 1.5]}
    )
    predict: dict[str, Any] = {"kind": "full"}
    if longest > _LARGE:
        tile = max(crop, 512)
        predict = {"kind": "tiles", "size": [tile, tile], "overlap": 0.5}
    return {"train": train, "predict": predict}


def propose_classes(survey: MaskSurvey, listed: Sequence[Any] | None) -> dict[str, Any]:
    """Return the settings of classes: `classes`, `void`, `mask_values`. `listed`: those of a tool's file, or None."""
    if listed:
        of_classes = [entry for entry in listed if not entry.get("void")]
        classes = [{key: value for key, value in entry.items() if key != "void"} for entry in of_classes]
        void = [entry for entry in listed if entry.get("void")]
        block: dict[str, Any] = {"classes": classes, "mask_values": survey.values}
        if survey.values == "ids":
            void_ids = [raw_id for entry in void for raw_id in entry.get("ids", ())] or survey.void
        else:
            void_ids = [entry["color"] for entry in void if "color" in entry]
        return block | ({"void": void_ids} if void_ids else {})
    if survey.values == "colors":
        return {"classes": _name_colours(survey.colours), "mask_values": "colors"}
    classes = [_name_id(raw_id, survey) for raw_id in survey.ids]
    return {"classes": classes} | ({"void": survey.void} if survey.void else {})


def _name_id(raw_id: int, survey: MaskSurvey) -> dict[str, Any]:
    is_binary = len(survey.ids) == 2 and survey.ids[0] == 0
    if raw_id == 0:
        return {"name": "background", "ids": 0, "scored": False}
    entry: dict[str, Any] = {"name": "object" if is_binary else f"class_{raw_id}", "ids": raw_id}
    if raw_id in survey.palette and any(survey.palette[raw_id]):
        entry["color"] = "#{:02x}{:02x}{:02x}".format(*survey.palette[raw_id])
    return entry


def _name_colours(colours: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """Name the classes of colours: black is the background, if it is there; the others are numbered."""
    ordered = sorted(colours, key=lambda colour: (any(colour), colours.index(colour)))
    classes: list[dict[str, Any]] = []
    for colour in ordered:
        text = "#{:02x}{:02x}{:02x}".format(*colour)
        if not any(colour):
            classes.append({"name": "background", "color": text, "scored": False})
        else:
            number = len(classes) + (classes[:1] == [] or classes[0]["name"] != "background")
            classes.append({"name": f"class_{number}", "color": text})
    return classes


def describe_masks(survey: MaskSurvey) -> list[str]:
    """Say what masks hold."""
    forms = ", ".join(f"{form} ({count})" for form, count in survey.forms.most_common(4))
    sentences = [f"{survey.read} masks were read: {forms}"]
    if survey.values == "colors":
        colours = ", ".join("#{:02x}{:02x}{:02x}".format(*colour) for colour in survey.colours)
        sentences.append(f"masks hold {len(survey.colours)} colours: {colours}")
    else:
        ids = ", ".join(map(str, survey.ids[:12]))
        more = " ..." if len(survey.ids) > 12 else ""
        palette = " (places of a palette)" if survey.palette else ""
        void = f", and {survey.void[0]} for void" if survey.void else ""
        sentences.append(f"masks hold the ids {ids}{more}{palette}{void}")
    if survey.share_off:
        what = "between black and white" if survey.threshold else "mixtures of these colours"
        setting = "mask_threshold" if survey.threshold else "nearest_color"
        sentences.append(f"{survey.share_off:.2%} of their pixels are {what}, so {setting} is set")
    if survey.unreadable:
        sentences.append(f"{len(survey.unreadable)} masks cannot be read: {survey.unreadable[0]}")
    return sentences


def propose_pictures(survey: MaskSurvey | None) -> dict[str, Any]:
    """Return the settings `data.pictures` that the masks need."""
    if survey is None:
        return {}
    pictures = {"mask_threshold": survey.threshold, "nearest_color": survey.nearest}
    return {key: value for key, value in pictures.items() if value is not None}
