"""Every command, and the files that it reads: as the argument it names, or inside of the folders that it names."""

from dataclasses import dataclass, replace

FOLD = "runs/toy_full/fold_0"
TEST_PHOTO = "city/seg_test_images/test_001.jpg"
FRAME = "city/seg_train_images/train_0003.jpg"
MASK = "city/seg_train_annotations/train_0003.png"
ANNOTATION = "city/seg_train_annotations/train_0003.json"
HANDED_IN = "submissions/ensemble/submission.json"
SMOOTHED = ("mask_smoothed",)  # between two ids there are others
RUN_FILES = (
    ("yaml", "config.yaml"),
    ("json", "provenance.json"),
    ("checkpoint", "checkpoints/best.ckpt"),
)


@dataclass(frozen=True)
class Place:
    """A file of the world that a command reads; `words` are relative to the world.

    `needs`: keys of a mapping that the command uses (None: all). What is wrong with another key may be passed over.
    `harmless`: patterns of names of other bad files that the command may take, since they say what a good one says.
    `writes`: patterns of old files that the command may write anew when it takes the bad file. `begins`: of new files
    that may be there after an error: a run describes itself before its first batch. `says`: what a message may name
    instead of the file. `loses`: patterns of old files that may be gone after an error, since they were about to be
    made anew.
    """

    command: str
    words: str
    kind: str
    file: str
    needs: tuple[str, ...] | None = None
    harmless: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`command words: file`."""
        return f"{self.command} {self.words}: {self.file}"


PREDICTED = ("source", "weights", "view", "tta", "form", "classes")  # what predictions of pictures must have in common
# New files that are kept after an error so that the command can go on
GOES_ON = ("submissions/ensemble/work/*", "out/*", f"{FOLD}/predictions/*-d4/*")


def _of_run(command: str, words: str) -> list[Place]:
    """Return the files of a run. Of a damaged checkpoint a command may see that predictions are not of it."""
    needs, writes, says = ("fold", "classes", "data_fingerprint"), ("submissions/*",), ("is stale", "/dev/null")
    # Commands that export weights need no data
    harmless = ("yaml_root_*", "yaml_fold_splits_*") if command.startswith("export") else ()
    return [
        Place(command, words, kind, f"{FOLD}/{file}", needs, harmless, writes, GOES_ON, says)
        for kind, file in RUN_FILES
    ]


def _of_ensemble(command: str, words: str, kind: str, file: str) -> Place:
    """Return a file that is read when an ensemble is blended; predictions that are gone are made again."""
    harmless = ("a_link_to_nothing",) if kind == "map" else ()
    writes = ("submissions/*", f"{FOLD}/predictions/*")
    loses = (f"{FOLD}/predictions/test-flip/*",) if kind == "photo" else ()
    return Place(command, words, kind, file, None, harmless, writes, GOES_ON, loses=loses)


def _of_training(words: str, kind: str, file: str, needs: tuple[str, ...] | None = None, harmless: str = "") -> Place:
    """Return a file that is read by a training, which may have described itself before it comes to the file."""
    begins = tuple(f"runs/*/fold_0/{name}" for name in ("config.yaml", "provenance.json", "data.csv"))
    return Place("train", words, kind, file, needs, tuple(harmless.split()), ("runs/*", "cache/*"), begins)


PLACES = [
    _of_training("new.yaml 0", "yaml", "new.yaml"),
    _of_training("new.yaml 0", "folds", "folds.csv"),
    _of_training("new.yaml 0", "frame", FRAME),
    _of_training("new.yaml 0", "mask", MASK),
    Place("train", "new.yaml 0", "json", ANNOTATION, ("attributes", "frameIndex")),
    # A test image is predicted at the end of a training
    replace(_of_training("new.yaml 0", "photo", TEST_PHOTO, harmless="png_bomb"), begins=("runs/new/fold_0/*",)),
    _of_training(
        "started.yaml 0", "checkpoint", "runs/started/fold_0/checkpoints/last.ckpt", harmless="checkpoint_facts_*"
    ),
    *_of_run("train", "toy_full.yaml 0"),
    _of_training("toy_full.yaml 0", "json", f"{FOLD}/summary.json", harmless="*"),
    _of_training("weights.yaml 0", "weights", "encoder.pth"),
    _of_training("safe.yaml 0", "safetensors", "encoder.safetensors"),
    _of_training("start.yaml 0", "checkpoint", "start.ckpt", harmless="checkpoint_one_tensor_a_text"),
    _of_training("cached.yaml 0", "json", "cache/*/index.json", harmless="a_link_to_nothing"),
    _of_training("more.yaml 0", "json", "pseudo/fold_0/pseudo.json", ("fold", "classes", "data_fingerprint")),
    _of_training("more.yaml 0", "mask", "pseudo/fold_0/test_001.png"),
    Place("check", "data.yaml", "yaml", "data.yaml"),
    Place("check", "data.yaml", "frame", FRAME),
    Place("check", "data.yaml", "mask", MASK),
    Place("check", "data.yaml", "photo", TEST_PHOTO),
    Place("new", "layout --name fresh", "mask", "layout/ann_dir/train/a_1.png", harmless=("*",)),
    Place("folds", "data.yaml", "yaml", "data.yaml"),
    Place("folds", "data.yaml", "folds", "folds.csv"),
    Place("folds", "data.yaml", "frame", FRAME),
    Place(
        "folds",
        "data.yaml",
        "json",
        ANNOTATION,
        ("attributes", "frameIndex"),
        ("json_frameIndex_negative",),
    ),
    Place("import", "coco imported", "json", "coco/coco.json"),
    Place("import", "coco imported", "photo", "coco/a_1.jpg"),
    Place("import", "cvat imported", "xml", "cvat/annotations.xml"),
    Place(
        "import",
        "layout imported --classes classes.csv",
        "mask",
        "layout/ann_dir/train/a_1.png",
        None,
        (*SMOOTHED, "mask_one_bit"),
    ),
    Place("import", "layout imported --classes classes.csv", "csv", "classes.csv"),
    Place("folds", "camvid.yaml", "list", "camvid/train.txt"),
    Place("show-batch", "toy_full.yaml --out sheet.png", "yaml", "toy_full.yaml"),
    Place("show-batch", "toy_full.yaml --out sheet.png", "folds", "folds.csv"),
    Place("show-batch", "toy_full.yaml --images 30 --out sheet.png", "frame", FRAME),
    Place("show-batch", "toy_full.yaml --images 30 --out sheet.png", "mask", MASK),
    Place("show-network", "toy_full.yaml --size 96x64", "yaml", "toy_full.yaml"),
    *_of_run("predict", FOLD),
    Place(
        "predict",
        FOLD,
        "json",
        f"{FOLD}/predictions/test/store.json",
        harmless=("*",),
        writes=(f"{FOLD}/predictions/*",),
    ),
    Place("predict", f"{FOLD} --tta d4", "photo", TEST_PHOTO, begins=GOES_ON),
    *_of_run("export-encoder", f"{FOLD} out.pth"),
    *_of_run("export-onnx", f"{FOLD} out.onnx"),
    *_of_run("soup", FOLD),
    Place("soup", FOLD, "checkpoint", f"{FOLD}/checkpoints/last.ckpt"),
    *_of_run("tta-gains", f"{FOLD} --tta flip"),
    *_of_run("pseudo-labels", "ensemble.yaml out"),
    _of_ensemble("pseudo-labels", "ensemble.yaml out", "yaml", "ensemble.yaml"),
    _of_ensemble("pseudo-labels", "ensemble.yaml out", "map", f"{FOLD}/predictions/test-flip/test_001.prob"),
    *_of_run("ensemble", "ensemble.yaml"),
    _of_ensemble("ensemble", "ensemble.yaml", "yaml", "ensemble.yaml"),
    _of_ensemble("ensemble", "ensemble.yaml", "map", f"{FOLD}/predictions/test-flip/test_001.prob"),
    replace(
        _of_ensemble("ensemble", "ensemble.yaml", "csv", "submissions/ledger.csv"),
        harmless=("csv_without_data",),  # ledgers of older versions have no such column
    ),
    _of_ensemble("ensemble", "ensemble.yaml", "photo", TEST_PHOTO),
    _of_ensemble("ensemble", "ensemble.yaml", "mask", MASK),
    Place("show-ensemble", "ensemble.yaml out.png", "yaml", "ensemble.yaml"),
    Place("show-ensemble", "ensemble.yaml out.png", "yaml", "submissions/ensemble/config.yaml"),
    Place(
        "show-ensemble", "ensemble.yaml out.png", "json", "submissions/ensemble/score.json", ("oof", "folds", "score")
    ),
    Place(
        "show-ensemble", "ensemble.yaml out.png", "mask", "submissions/ensemble/oof/train_0003.png", harmless=SMOOTHED
    ),
    *_of_run("verify", FOLD),
    Place("verify", FOLD, "map", f"{FOLD}/predictions/oof/train_0000.prob"),
    Place("verify", FOLD, "json", f"{FOLD}/predictions/oof/store.json"),
    Place("verify", FOLD, "csv", f"{FOLD}/metrics.csv"),
    Place("verify", FOLD, "json", f"{FOLD}/summary.json", ("monitor", "best", "best_epoch")),
    Place("verify", "submissions/ensemble", "json", "submissions/ensemble/score.json", ("oof", "folds", "score")),
    Place("verify", "submissions/ensemble", "yaml", "submissions/ensemble/config.yaml"),
    Place("verify", "submissions/ensemble", "mask", "submissions/ensemble/oof/train_0003.png"),
    *_of_run("compare", "submissions/ensemble runs/toy_full"),
    Place(
        "compare", "submissions/ensemble runs/toy_full", "json", "submissions/ensemble/score.json", ("folds", "score")
    ),
    Place(
        "score",
        "truth.json submissions/ensemble/submission.json --data data.yaml",
        "yaml",
        "data.yaml",
    ),
    Place(
        "score",
        "truth.json submissions/ensemble/submission.json --data data.yaml",
        "submission",
        HANDED_IN,
    ),
    Place("score", "runs.csv runs.csv --data data.yaml", "csv", "runs.csv"),
    Place("score", "ids ids --data camvid.yaml", "mask", "ids/Seq05VD_f00030.png", None, SMOOTHED),
    Place(
        "score",
        "camvid.yaml ids --size 96x64",
        "mask",
        "camvid/testannot/Seq05VD_f00030.png",
        None,
        ("mask_smoothed",),
    ),
    Place("convert", "colours out.json --data data.yaml", "mask", "colours/test_001.png"),
    Place("convert", "colours out.json --data data.yaml", "photo", TEST_PHOTO, harmless=("jpeg_hole",)),
    Place(
        "convert",
        "submissions/ensemble/submission.json out --data data.yaml",
        "submission",
        HANDED_IN,
        begins=("out/.foldseg",),
    ),
    Place("convert", "colours out.json --data data.yaml", "yaml", "data.yaml"),
    Place("predict-images", "net.onnx pictures --out out", "photo", "pictures/photo_1.jpg", begins=("out/*",)),
    Place("predict-images", "net.onnx pictures/photo_0.jpg --out out", "onnx", "net.onnx", begins=("out/*",)),
    Place(
        "predict-images",
        "net.onnx pictures --out predicted",
        "json",
        "predicted/prediction.json",
        PREDICTED,
        writes=("predicted/*",),
    ),
    *_of_run("predict-images", f"{FOLD} pictures/photo_0.jpg --out out"),
    Place(
        "predict-images",
        "submissions/ensemble pictures --out out",
        "arrays",
        "submissions/ensemble/fitted.npz",
        begins=("out/*",),
    ),
    *_of_run("predict-test", "submissions/ensemble out.json"),
    Place("predict-test", "submissions/ensemble out.json", "photo", TEST_PHOTO),
    Place("predict-test", "submissions/ensemble out.json", "arrays", "submissions/ensemble/fitted.npz"),
    Place("bundle", "submissions/ensemble out.zip --no-wheels", "checkpoint", f"{FOLD}/checkpoints/best.ckpt"),
    Place("bundle", "submissions/ensemble out.zip --no-wheels", "yaml", "submissions/ensemble/config.yaml"),
    Place(
        "bundle",
        "toy_full.yaml out.zip --train --no-wheels",
        "yaml",
        "toy_full.yaml",
        harmless=("yaml_root_*", "yaml_fold_*", "yaml_labels_unknown"),
    ),  # the data is not read
    Place("predict-video", "net.onnx drive.mp4 out.mp4", "video", "drive.mp4"),
    Place("predict-video", "net.onnx frames out.mp4", "frame", "frames/frame_1.jpg", begins=("out.mp4",)),
    Place("predict-video", "net.onnx frames out.mp4", "onnx", "net.onnx"),
    Place("ledger", "--ledger submissions/ledger.csv", "csv", "submissions/ledger.csv"),
    Place(
        "ledger", "--ledger submissions/ledger.csv add-score ensemble 0.5 --replace", "csv", "submissions/ledger.csv"
    ),
    Place("ledger", "--ledger submissions/ledger.csv plot out.png", "csv", "submissions/ledger.csv"),
]
"""To add a command: its files here. A test fails as long as a verb has none."""
