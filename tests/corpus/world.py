"""A folder in which every command has something to do, and what a command has changed in it."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml

from command.line import CommandLine
from corpus.pictures import encoded, picture
from corpus.texts import CVAT

CAMVID = ["0001TP_000030", "0001TP_000060", "0001TP_000400", "0006R0_f00930", "0006R0_f01300"]


def build_world(root: Path, trained: Path, line: CommandLine) -> None:
    """Fill `root` from a folder in which the variant `full` of the tiny demo was trained.

    All paths in it are relative to it, so commands are to run there.
    """
    shutil.copytree(trained / "city", root / "city")
    shutil.copytree(trained / "runs/toy_full", root / "runs/toy_full")
    shutil.copy(trained / "folds.csv", root)
    for config in root.glob("runs/*/*/config.yaml"):
        config.write_text(config.read_text().replace(f"{trained}/", ""))
    for run in root.glob("runs/*/*"):
        shutil.rmtree(run / "tensorboard", ignore_errors=True)
    _write_started_run(root)
    _write_settings(root)
    _write_camvid(root / "camvid")
    _write_hand_ins(root)
    _write_annotations(root)
    for name in range(2):
        (root / "pictures").mkdir(exist_ok=True)
        (root / "frames").mkdir(exist_ok=True)
        (root / f"pictures/photo_{name}.jpg").write_bytes(encoded(picture(96, 64), ".jpg"))
        (root / f"frames/frame_{name}.jpg").write_bytes(encoded(picture(96, 64), ".jpg"))
    for command, words in (
        ("ensemble", ["ensemble.yaml"]),
        ("export-onnx", ["runs/toy_full/fold_0", "net.onnx"]),
        ("export-encoder", ["runs/toy_full/fold_0", "encoder.pth"]),
        ("predict-video", ["net.onnx", "frames", "drive.mp4"]),
        ("predict-images", ["net.onnx", "pictures", "--out", "predicted"]),
        ("pseudo-labels", ["ensemble.yaml", "pseudo"]),
        ("train", ["cached.yaml", "0"]),
        ("ledger", ["--ledger", "submissions/ledger.csv", "add-score", "ensemble", "0.4"]),
    ):
        done = line.run(command, *words, cwd=root)
        assert done.status == 0, f"{command}: {done.said}"
    shutil.copy(root / "submissions/ensemble/submission.json", root / "truth.json")
    shutil.rmtree(root / "runs/cached")
    _write_safetensors(root)


def _write_started_run(root: Path) -> None:
    """Write a run that was killed after its last epoch."""
    run = shutil.copytree(root / "runs/toy_full/fold_0", root / "runs/started/fold_0")
    (run / "summary.json").unlink()
    shutil.rmtree(run / "predictions")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("name: toy_full", "name: started", 1))


def _write_settings(root: Path) -> None:
    """Write experiments, an ensemble and data sets."""
    whole = yaml.safe_load((root / "runs/toy_full/fold_0/config.yaml").read_text())
    short = {"schedule": {**whole["schedule"], "epochs": 1}, "validate_every": 1}
    changes: dict[str, dict] = {
        "toy_full": {},
        "started": {},
        "new": short,
        "weights": {**short, "model": {**whole["model"], "encoder_weights": "encoder.pth"}},
        "safe": {**short, "model": {**whole["model"], "encoder_weights": "encoder.safetensors"}},
        "start": {**short, "model": {**whole["model"], "start_from": "start.ckpt"}},
        "cached": {**short, "cache": "cache"},
        "more": {
            **short,
            "sampling": {
                "sources": [{"images": "city/seg_test_images", "masks": "pseudo/fold_{fold}", "encoding": "index"}]
            },
        },
    }
    for name, change in changes.items():
        (root / f"{name}.yaml").write_text(yaml.safe_dump({**whole, "name": name, **change}, sort_keys=False))
    shutil.copy(root / "runs/toy_full/fold_0/checkpoints/best.ckpt", root / "start.ckpt")
    (root / "data.yaml").write_text(yaml.safe_dump({"data": whole["data"]}))
    ensemble = {
        "members": [{"experiment": "toy_full"}],
        "tta": ["flip"],
        "steps": ["bias", {"kind": "clean_up", "min_area": 4}],
        "score": "dataset_miou",
        "submission": "signate_json",
        "workers": 1,
        "bootstrap_samples": 100,
        "runs": "runs",
        "submissions": "submissions",
    }
    (root / "ensemble.yaml").write_text(yaml.safe_dump(ensemble, sort_keys=False))
    camvid = {"dataset": "camvid", "root": "camvid", "folds": "camvid.csv", "fold_count": 2}
    (root / "camvid.yaml").write_text(yaml.safe_dump({"data": camvid}))


def _write_camvid(root: Path) -> None:
    for split, names in {"train": CAMVID, "val": ["0016E5_08001"], "test": ["Seq05VD_f00030"]}.items():
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for name in names:
            (root / split / f"{name}.png").write_bytes(encoded(picture(96, 64)))
            (root / f"{split}annot" / f"{name}.png").write_bytes(encoded(picture(96, 64, 1) % np.uint8(12)))
        lines = [f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png\n" for name in names]
        (root / f"{split}.txt").write_text("".join(lines))


def _write_hand_ins(root: Path) -> None:
    """Write a submission of the toy city's test images as colours, and by the ids of camvid's test image."""
    for index, image in enumerate(sorted((root / "city/seg_test_images").glob("*.jpg"))):
        (root / "colours").mkdir(exist_ok=True)
        mask = np.zeros((64, 96, 3), np.uint8)
        mask[20 + index : 40, 10:30] = (255, 0, 0)  # BGR of a car
        mask[40:, :] = (142, 47, 69)  # of a lane
        assert cv2.imwrite(str(root / "colours" / f"{image.stem}.png"), mask)
    images = sorted(path.stem for path in (root / "city/seg_test_images").glob("*.jpg"))
    rows = [f"{name}.jpg,{label},{index + 1} 30" for index, name in enumerate(images) for label in ("car", "lane")]
    (root / "runs.csv").write_text("\n".join(["id,class,rle", *rows]) + "\n")
    shutil.copytree(root / "camvid/testannot", root / "ids")
    for file in (root / "ids").glob("*.png"):
        file.write_bytes(encoded(picture(96, 64, 1) % np.uint8(11)))


def _write_annotations(root: Path) -> None:
    """Write annotations of an image as COCO JSON and as CVAT's XML, and a mask in MMSegmentation's layout."""
    photo = encoded(picture(96, 64), ".jpg")
    for folder in ("coco", "cvat", "layout/img_dir/train", "layout/ann_dir/train"):
        (root / folder).mkdir(parents=True)
    for folder in ("coco", "cvat", "layout/img_dir/train"):
        (root / folder / "a_1.jpg").write_bytes(photo)
    (root / "layout/ann_dir/train/a_1.png").write_bytes(encoded(picture(96, 64, 1) % np.uint8(3)))
    polygon = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 40, 1, 40, 30]], "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a_1.jpg", "width": 96, "height": 64}],
        "annotations": [polygon],
        "categories": [{"id": 1, "name": "car"}],
    }
    (root / "coco/coco.json").write_text(json.dumps(content))
    (root / "cvat/annotations.xml").write_bytes(CVAT)
    (root / "classes.csv").write_text("Pixel Value, Class\n0, a\n1, b\n2, c\n")


def _write_safetensors(root: Path) -> None:
    import torch
    from safetensors.torch import save_file

    state = torch.load(root / "encoder.pth", weights_only=True)
    save_file({name: value.contiguous() for name, value in state.items()}, root / "encoder.safetensors")


@dataclass(frozen=True)
class Entry:
    """What is at a path: what `lstat` says, which changes whenever anybody writes there."""

    facts: tuple[int, ...]

    @staticmethod
    def of(path: Path) -> "Entry":
        status = path.lstat()
        return Entry((status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@dataclass
class Snapshot:
    """All that is below a folder, to be compared and restored."""

    root: Path
    kept: Path
    entries: dict[Path, Entry] = field(default_factory=dict)

    @staticmethod
    def of(root: Path, kept: Path) -> "Snapshot":
        """Copy `root` to `kept`."""
        shutil.copytree(root, kept, symlinks=True)
        return Snapshot(root, kept, _entries(root))

    def changed(self, spared: Path) -> tuple[list[str], list[str]]:
        """Return the names of old files and folders whose content is another now, and of new ones; without `spared`."""
        now = _entries(self.root)
        old = [path for path, entry in self.entries.items() if path != spared and now.get(path) != entry]
        lost = [path for path in old if not is_lock(path) and not self._is_equal(path)]
        new = [path for path in now if path not in self.entries and path != spared and not is_lock(path)]
        new = [path for path in new if not path.is_dir()]  # an empty folder does no harm
        return self._names(lost), self._names(new)

    def restore(self, replaced: Path) -> None:
        """Put everything back, `replaced` above all."""
        now = _entries(self.root)
        remove(replaced)
        for path in sorted(now, reverse=True):
            if path not in self.entries:
                remove(path)
        for path, entry in self.entries.items():
            if path == replaced or now.get(path) != entry:
                self._put_back(path)

    def _put_back(self, path: Path) -> None:
        kept = self.kept / path.relative_to(self.root)
        if kept.is_dir():
            path.mkdir(exist_ok=True)
        else:
            remove(path)
            shutil.copy2(kept, path)
        self.entries[path] = Entry.of(path)

    def _is_equal(self, path: Path) -> bool:
        kept = self.kept / path.relative_to(self.root)
        if kept.is_dir() or path.is_symlink() or not path.is_file():
            return kept.is_dir() and path.is_dir()
        return _digest(path) == _digest(kept)

    def _names(self, paths: list[Path]) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in paths)


def is_lock(path: Path) -> bool:
    """Tell whether a file is one that processes keep others out with: it stays, empty or with a process's number."""
    return path.name == "lock" or (path.name.startswith(".") and path.name.endswith(".lock"))


def _entries(root: Path) -> dict[Path, Entry]:
    """Everything below a folder, folders before what is in them. Of folders only their being there counts."""
    entries = {}
    for folder, folders, files in os.walk(root):
        for name in folders:
            path = Path(folder, name)
            entries[path] = Entry((path.lstat().st_mode,))
        for name in files:
            entries[Path(folder, name)] = Entry.of(Path(folder, name))
    return entries


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def remove(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
