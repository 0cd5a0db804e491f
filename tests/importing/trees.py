"""Small sources in the official layout of each format, made of two scenes that show the same things.

A scene is 60 wide and 50 high. On grey ground are a red box and a green disc. Masks know 0 ground, 1 box, 2 disc.
"""

import base64
import csv
import io
import json
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

HEIGHT, WIDTH = 50, 60
BOX = (8, 6, 30, 24)
"""Left, top, right, bottom; the edges belong to the box."""
DISC = (42, 32, 9)
"""Centre x, y and radius."""
COLOURS = {"background": (0, 0, 0), "box": (250, 50, 53), "disc": (51, 221, 255)}


def truth(shift: int = 0) -> np.ndarray:
    """The mask of a scene; `shift` moves everything to the right."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    left, top, right, bottom = BOX
    x, y, radius = DISC
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[(columns >= left + shift) & (columns <= right + shift) & (rows >= top) & (rows <= bottom)] = 1
    mask[(columns - x - shift) ** 2 + (rows - y) ** 2 <= radius**2] = 2
    return mask


def picture(mask: np.ndarray) -> np.ndarray:
    """The image of a mask, with some noise: (H, W, 3) uint8 RGB."""
    noise = np.random.default_rng(0).integers(-8, 9, (*mask.shape, 3))
    colours = np.array([(120, 120, 120), (200, 40, 40), (40, 180, 60)])
    return np.clip(colours[np.minimum(mask, 2)] + noise, 0, 255).astype(np.uint8)


def write_picture(path: Path, mask: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(mask)[..., ::-1])
    return path


def write_ids(path: Path, mask: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask)
    return path


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def box_points(shift: int = 0) -> list[list[int]]:
    left, top, right, bottom = BOX
    return [[left + shift, top], [right + shift, top], [right + shift, bottom], [left + shift, bottom]]


def png_bytes(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def coco_counts(mask: np.ndarray) -> list[int]:
    flat = mask.ravel("F").astype(int)
    counts, value, run = [], 0, 0
    for pixel in flat:
        if pixel != value:
            counts.append(run)
            value, run = pixel, 0
        run += 1
    return [*counts, run]


def coco_content(names: Sequence[str], shifts: Sequence[int]) -> dict[str, Any]:
    """A COCO file whose categories have gaps: disc is 7, box is 3."""
    images, annotations = [], []
    for number, (name, shift) in enumerate(zip(names, shifts, strict=True)):
        images.append({"id": number + 10, "file_name": name, "width": WIDTH, "height": HEIGHT})
        counts = coco_counts(truth(shift) == 2)
        box = [value for pair in box_points(shift) for value in pair]
        annotations += [
            {"id": 2 * number + 1, "image_id": number + 10, "category_id": 3, "segmentation": [box], "iscrowd": 0},
            {
                "id": 2 * number + 2,
                "image_id": number + 10,
                "category_id": 7,
                "segmentation": {"counts": counts, "size": [HEIGHT, WIDTH]},
                "iscrowd": 1,
            },
        ]
    categories = [{"id": 3, "name": "box", "supercategory": "x"}, {"id": 7, "name": "disc", "supercategory": "x"}]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def make_coco(root: Path) -> Path:
    for split, shift in (("train", 0), ("val", 5)):
        write_picture(root / f"{split}2017" / "000000000001.jpg", truth(shift))
        write_json(root / "annotations" / f"instances_{split}2017.json", coco_content(["000000000001.jpg"], [shift]))
    return root


def make_roboflow_coco(root: Path) -> Path:
    for split, shift in (("train", 0), ("valid", 5)):
        name = f"street_jpg.rf.{'a1' if shift else 'b2'}.jpg"
        write_picture(root / split / name, truth(shift))
        content = coco_content([name], [shift])
        content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})
        write_json(root / split / "_annotations.coco.json", content)
    return root


def labelme_content(shift: int, name: str) -> dict[str, Any]:
    x, y, radius = DISC
    left, top, right, bottom = BOX
    shapes = [
        {"label": "box", "points": [[left + shift, top], [right + shift, bottom]], "shape_type": "rectangle"},
        {"label": "disc", "points": [[x + shift, y], [x + shift + radius, y]], "shape_type": "circle"},
    ]
    common = {"group_id": None, "flags": {}, "description": "", "mask": None}
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [shape | common for shape in shapes],
        "imagePath": name,
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def make_labelme(root: Path) -> Path:
    for name, shift in (("a", 0), ("b", 5)):
        write_picture(root / f"{name}.jpg", truth(shift))
        write_json(root / f"{name}.json", labelme_content(shift, f"{name}.jpg"))
    return root


def cvat_xml_text(shifts: Sequence[int]) -> str:
    x, y, radius = DISC
    images = []
    for number, shift in enumerate(shifts):
        points = ";".join(f"{px}.0,{py}.0" for px, py in box_points(shift))
        images.append(
            f'<image id="{number}" name="{"ab"[number]}.png" width="{WIDTH}" height="{HEIGHT}">'
            f'<ellipse label="disc" source="manual" occluded="0" cx="{x + shift}" cy="{y}" rx="{radius}" ry="{radius}" '
            f'z_order="1"></ellipse>'
            f'<polygon label="box" source="manual" occluded="0" points="{points}" z_order="0"></polygon></image>'
        )
    labels = "".join(
        f"<label><name>{name}</name><color>#{r:02x}{g:02x}{b:02x}</color><type>any</type><attributes></attributes></label>"
        for name, (r, g, b) in COLOURS.items()
        if name != "background"
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><id>4</id>'
        f"<name>city</name><labels>{labels}</labels></task></meta>{''.join(images)}</annotations>\n"
    )


def make_cvat_xml(root: Path) -> Path:
    for name, shift in (("a", 0), ("b", 5)):
        write_picture(root / "images" / f"{name}.png", truth(shift))
    (root / "annotations.xml").write_text(cvat_xml_text((0, 5)))
    return root


def make_cvat_masks(root: Path) -> Path:
    """`b.png` has a palette whose order is not that of the map."""
    lines = ["# label:color_rgb:parts:actions", *(f"{n}:{r},{g},{b}::" for n, (r, g, b) in COLOURS.items())]
    (root / "SegmentationClass").mkdir(parents=True)
    (root / "labelmap.txt").write_text("\n".join(lines) + "\n")
    colours = np.array(list(COLOURS.values()), np.uint8)
    for name, shift, split in (("a", 0, "train"), ("b", 5, "val")):
        write_picture(root / "JPEGImages" / f"{name}.png", truth(shift))
        (root / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/Segmentation/{split}.txt").write_text(f"{name}\r\n")
        path = root / "SegmentationClass" / f"{name}.png"
        if name == "a":
            PillowImage.fromarray(colours[truth(shift)]).save(path)
        else:
            paletted = PillowImage.fromarray(2 - truth(shift)).convert("L")
            paletted.putpalette(colours[::-1].tobytes())
            paletted.save(path)
    return root


def encode_brush(mask: np.ndarray) -> list[int]:
    """Label Studio's encoding of a mask, with runs alone."""
    values = np.repeat(np.where(mask.ravel(), 255, 0), 4)
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    starts = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    for start, end in pairwise(starts):
        bits += "1" + "11" + f"{end - start - 1:016b}" + f"{values[start]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def label_studio_tasks() -> list[dict[str, Any]]:
    tasks = []
    for number, (name, shift) in enumerate((("a", 0), ("b", 5))):
        common = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, "to_name": "image"}
        percent = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in box_points(shift)]
        result = [
            common | {"id": "p1", "type": "polygonlabels", "value": {"points": percent, "polygonlabels": ["box"]}},
            common
            | {
                "id": "b1",
                "type": "brushlabels",
                "value": {"format": "rle", "rle": encode_brush(truth(shift) == 2), "brushlabels": ["disc"]},
            },
        ]
        annotation = {"id": number, "result": result, "was_cancelled": False, "updated_at": "2024-05-01T10:00:00Z"}
        image = f"/data/upload/1/0a1b2c3{number}-{name}.png"
        tasks.append({"id": number + 1, "data": {"image": image}, "annotations": [annotation], "predictions": []})
    return tasks


def make_label_studio(root: Path) -> Path:
    for name, shift in (("a", 0), ("b", 5)):
        write_picture(root / "images" / f"{name}.png", truth(shift))
    write_json(root / "project-1-at-2024-05-01.json", label_studio_tasks())
    return root


def make_supervisely(root: Path) -> Path:
    classes = [
        {"title": name, "shape": "any", "color": f"#{r:02X}{g:02X}{b:02X}"}
        for name, (r, g, b) in COLOURS.items()
        if name != "background"
    ]
    write_json(root / "meta.json", {"classes": classes, "tags": []})
    x, y, radius = DISC
    for name, shift in (("a.png", 0), ("b.png", 5)):
        write_picture(root / "ds0/img" / name, truth(shift))
        disc = truth(shift)[y - radius : y + radius + 1, x + shift - radius : x + shift + radius + 1] == 2
        alpha = np.zeros((*disc.shape, 4), np.uint8)
        alpha[disc] = 255
        data = base64.b64encode(zlib.compress(png_bytes(alpha))).decode()
        objects = [
            {"classTitle": "box", "geometryType": "polygon", "points": {"exterior": box_points(shift), "interior": []}},
            {
                "classTitle": "disc",
                "geometryType": "bitmap",
                "bitmap": {"data": data, "origin": [x + shift - radius, y - radius]},
            },
        ]
        content = {"description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": objects}
        write_json(root / "ds0/ann" / f"{name}.json", content)
    return root


def make_roboflow(root: Path) -> Path:
    for split, shift in (("train", 0), ("valid", 5)):
        for copy in ("aa", "bb"):
            name = f"street_jpg.rf.{copy}{split[0]}"
            write_picture(root / split / f"{name}.jpg", truth(shift))
            write_ids(root / split / f"{name}_mask.png", truth(shift))
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, box\n2, disc\n")
    return root


def make_nnunet(root: Path) -> Path:
    root = root / "Dataset120_Shapes"
    labels = {"background": 0, "box": 1, "disc": 2}
    content = {"channel_names": {"0": "R"}, "labels": labels, "numTraining": 2, "file_ending": ".png"}
    write_json(root / "dataset.json", content)
    for name, shift in (("shapes_001", 0), ("shapes_002", 5)):
        write_picture(root / "imagesTr" / f"{name}_0000.png", truth(shift))
        write_ids(root / "labelsTr" / f"{name}.png", truth(shift))
    write_picture(root / "imagesTs" / "shapes_003_0000.png", truth(9))
    return root.parent


def make_mmsegmentation(root: Path) -> Path:
    for split, shift in (("train", 0), ("val", 5)):
        write_picture(root / "img_dir" / split / "x1.jpg", truth(shift))
        write_ids(root / "ann_dir" / split / "x1.png", truth(shift))
    return root


def make_ade20k(root: Path) -> Path:
    root = root / "ADEChallengeData2016"
    for split, short, shift in (("training", "train", 0), ("validation", "val", 5)):
        write_picture(root / "images" / split / f"ADE_{short}_00000001.jpg", truth(shift))
        write_ids(root / "annotations" / split / f"ADE_{short}_00000001.png", truth(shift))
    rows = "1\t0.15\t11664\t1172\tbox, chest\n2\t0.10\t6046\t612\tdisc\n"
    (root / "objectInfo150.txt").write_text(f"Idx\tRatio\tTrain\tVal\tName\n{rows}")
    return root.parent


def make_bdd100k(root: Path) -> Path:
    root = root / "bdd100k"
    for split, name, shift in (("train", "0a0a0b1a-7c39d841", 0), ("val", "7d15b18b-1e0d6e3f", 5)):
        write_picture(root / "images/10k" / split / f"{name}.jpg", truth(shift))
        write_ids(root / "labels/sem_seg/masks" / split / f"{name}.png", truth(shift))
    write_picture(root / "images/10k/test/cabc30fc-e7726578.jpg", truth(9))
    return root.parent


def make_bdd100k_drivable(root: Path) -> Path:
    for split, shift in (("train", 0), ("val", 5)):
        write_picture(root / "images/100k" / split / f"{split}-1.jpg", truth(shift))
        write_ids(root / "labels/drivable/masks" / split / f"{split}-1.png", truth(shift))
    return root


def make_mapillary(root: Path) -> Path:
    labels = [
        {"name": f"object--{name}", "readable": name, "color": list(colour), "evaluate": True}
        for name, colour in COLOURS.items()
    ]
    labels.append({"name": "void--unlabeled", "readable": "Unlabeled", "color": [9, 9, 9], "evaluate": False})
    write_json(root / "config_v1.2.json", {"labels": labels, "version": "1.2", "mapping": "public"})
    palette = np.array([item["color"] for item in labels], np.uint8).tobytes()
    for split, shift in (("training", 0), ("validation", 5)):
        write_picture(root / split / "images" / f"{split}.jpg", truth(shift))
        path = root / split / "v1.2/labels" / f"{split}.png"
        path.parent.mkdir(parents=True)
        mask = PillowImage.fromarray(truth(shift)).convert("L")
        mask.putpalette(palette)
        mask.save(path)
    write_picture(root / "testing/images/t.jpg", truth(9))
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "coco": make_coco,
    "labelme": make_labelme,
    "cvat_xml": make_cvat_xml,
    "cvat_masks": make_cvat_masks,
    "label_studio": make_label_studio,
    "supervisely": make_supervisely,
    "roboflow": make_roboflow,
    "nnunet": make_nnunet,
    "mmsegmentation": make_mmsegmentation,
    "ade20k": make_ade20k,
    "bdd100k": make_bdd100k,
    "bdd100k_drivable": make_bdd100k_drivable,
    "mapillary": make_mapillary,
}
"""Name of a format -> function that makes a source of it below a folder, and returns what is imported."""


def read_table(folder: Path) -> list[dict[str, str]]:
    with (folder / "samples.csv").open(newline="") as stream:
        return list(csv.DictReader(io.StringIO(stream.read())))


def read_mask(folder: Path, row: dict[str, str]) -> np.ndarray:
    with PillowImage.open(folder / row["mask"]) as mask:
        return np.array(mask, np.uint8)
