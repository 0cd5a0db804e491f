"""Images and masks are found in every layout in which people keep them, and the patterns find what was found."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from foldseg.data.patterns import MASK_FILES, Pattern, find_matches
from foldseg.discovery.layout import find_layout
from foldseg.errors import FoldsegError

Splits = dict[str, tuple[str, str]]

LAYOUTS: dict[str, tuple[list[str], str, Splits]] = {
    "two folders": (["images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png"], "{id}", {
        "train": ("images/{id}.jpg", "masks/{id}.png")}),
    "one folder with suffixes": (["a 1.png", "a 1_mask.png", "b.png", "b_mask.png"], "{id}", {
        "train": ("{id}.png", "{id}_mask.png")}),
    "suffixes of both": (["train/1_sat.jpg", "train/1_mask.png", "train/2_sat.jpg", "train/2_mask.png",
        "test/3_sat.jpg"], "{id}", {"train": ("train/{id}_sat.jpg", "train/{id}_mask.png"),
        "test": ("test/{id}_sat.jpg", "")}),
    "prefixes": (["img_1.png", "mask_1.png", "img_2.png", "mask_2.png"], "{id}", {
        "train": ("img_{id}.png", "mask_{id}.png")}),
    "a folder for each image": (["p1/image.png", "p1/mask.png", "p2/image.jpg", "p2/mask.png"], "{id}", {
        "train": ("{id}/image.*", "{id}/mask.png")}),
    "official splits": (["train/images/a.jpg", "train/labels/a.png", "valid/images/b.jpg", "valid/labels/b.png",
        "test/images/c.jpg"], "{id}", {"train": ("train/images/{id}.jpg", "train/labels/{id}.png"),
        "val": ("valid/images/{id}.jpg", "valid/labels/{id}.png"), "test": ("test/images/{id}.jpg", "")}),
    "splits below roles": (["img_dir/train/a.jpg", "ann_dir/train/a.png", "img_dir/val/b.jpg", "ann_dir/val/b.png"],
        "{id}", {"train": ("img_dir/train/{id}.jpg", "ann_dir/train/{id}.png"),
        "val": ("img_dir/val/{id}.jpg", "ann_dir/val/{id}.png")}),
    "cities": (["leftImg8bit/train/ulm/u_1_leftImg8bit.png", "leftImg8bit/train/bonn/b_1_leftImg8bit.png",
        "gtFine/train/ulm/u_1_gtFine_labelIds.png", "gtFine/train/bonn/b_1_gtFine_labelIds.png",
        "gtFine/train/ulm/u_1_gtFine_instanceIds.png", "gtFine/train/bonn/b_1_gtFine_instanceIds.png"], "{id}", {
        "train": ("leftImg8bit/train/{id}_leftImg8bit.png", "gtFine/train/{id}_gtFine_labelIds.png")}),
    "an object a file": (["x/images/x.png", "x/masks/1.png", "x/masks/2.png", "y/images/y.png", "y/masks/3.png"],
        "{id}", {"train": ("{id}/images/{id}.png", "{id}/masks/{part}.png")}),
    "a folder for each class": (["images/a.png", "images/b.png", "masks/crack/a.png", "masks/spall/a.png",
        "masks/crack/b.png"], "{id}", {"train": ("images/{id}.png", "masks/{class}/{id}.png")}),
    "a suffix for each class": (["images/a_1.png", "images/a_2.png", "masks/a_1_crack.png", "masks/a_2_crack.png",
        "masks/a_1_spall.png"], "{id}", {"train": ("images/{id}.png", "masks/{id}_{class}.png")}),
    "folders whose words are joined": (["train_images/1.jpg", "train_masks/1.png", "test_images/1.jpg"], "{id}", {
        "train": ("train_images/{id}.jpg", "train_masks/{id}.png"), "test": ("test_images/{id}.jpg", "")}),
    "names that say nothing": (["photos_a/1.png", "drawn/1.png", "photos_a/2.png", "drawn/2.png"], "{id}", {
        "train": ("photos_a/{id}.png", "drawn/{id}.png")}),
    "a folder around all": (["data/set/images/a.png", "data/set/masks/a.png"], "{id}", {
        "train": ("data/set/images/{id}.png", "data/set/masks/{id}.png")}),
    "cases with several slices": (["c1/scans/s_1.png", "c1/masks/s_1.png", "c2/scans/s_1.png", "c2/masks/s_1.png",
        "c2/scans/s_2.png", "c2/masks/s_2.png"], "{folder}_{name}", {
        "train": ("{folder}/scans/{name}.png", "{folder}/masks/{name}.png")}),
    "camvid": (["train/a.png", "trainannot/a.png", "val/b.png", "valannot/b.png", "test/c.png", "testannot/c.png"],
        "{id}", {"train": ("train/{id}.png", "trainannot/{id}.png"), "val": ("val/{id}.png", "valannot/{id}.png"),
        "test": ("test/{id}.png", "testannot/{id}.png")}),
    "one suffix that says nothing": (["images/a_1.png", "images/a_2.png", "masks/a_1_color.png", "masks/a_2_color.png"],
        "{id}", {"train": ("images/{id}.png", "masks/{id}_color.png")}),
    "one folder of masks that says nothing": (["images/a.png", "images/b.png", "masks/foreground/a.png",
        "masks/foreground/b.png"], "{id}", {"train": ("images/{id}.png", "masks/foreground/{id}.png")}),
    "test images beside the folder of all cases": (["zu bewerten/1.png", "zu bewerten/2.png", "Klinik/Fall 1/bild.png",
        "Klinik/Fall 1/maske.png", "Klinik/Fall 2/bild.png", "Klinik/Fall 2/maske.png"], "{id}", {
        "train": ("{id}/bild.png", "{id}/maske.png"), "test": ("zu bewerten/{id}.png", "")}),
    "fixed names that say nothing": (["1/photo.png", "1/annotation (expert).png", "2/photo.png",
        "2/annotation (expert).png"], "{id}", {"train": ("{id}/photo.png", "{id}/annotation (expert).png")}),
    "images alone": (["a.jpg", "b.jpg"], "{id}", {"train": ("{id}.jpg", "")}),
}  # fmt: skip


def is_mask(name: str) -> bool:
    words = ("mask", "label", "gtFine", "ann", "drawn", "maske")
    return any(word in name for word in words)


def write(root: Path, names: list[str]) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (24, 24, 3), np.uint8)
        cv2.imwrite(str(root / name), (noise[..., 0] > 200) * np.uint8(255) if is_mask(name) else noise)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_found(tmp_path: Path, layout: str) -> None:
    names, template, splits = LAYOUTS[layout]
    write(tmp_path, names)
    found = find_layout(tmp_path)
    assert {split.name: (*split.images, *(split.masks or [""])) for split in found.splits} == splits
    assert found.id == template
    for split in found.splits:
        patterns = [Pattern(text, template, found.labels) for text in split.images]
        matches = find_matches(tmp_path, patterns, tmp_path / "drawn_masks")
        masks = {mask for _, files in split.pairs for mask in files}
        assert {match.path for match in matches} - masks == {image for image, _ in split.pairs}
        of_masks = [Pattern(text, template, found.labels) for text in split.masks]
        ids = {match.fields["id"] for match in find_matches(tmp_path, of_masks, tmp_path / "drawn_masks", MASK_FILES)}
        assert ids == {match.fields["id"] for match in matches if match.path not in masks and split.masks} or not masks


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="holds no pictures"):
        find_layout(tmp_path)
