"""The kinds of files that commands read, and the bad ones of each."""

from collections.abc import Callable, Iterator

from corpus import binaries, pictures, texts
from corpus.bad import Bad

# Bad files that no command has to refuse, by kind
HARMLESS = {
    "json": ("utf_16",),  # which JSON may be
    # What was cut may be a whole one, too; where a folds file is there, it decides; a run's name is that of its folder
    "yaml": ("cut_*", "yaml_fold_count_huge", "yaml_without_name"),
    "photo": (
        "a_gif",
        "jpeg_12_bits",
        "jpeg_cut_and_ended",
        "npy_floats",
        "npy_not_finite",
        "npy_eight_channels",
    ),  # may be read, or only be asked for their size
    "frame": ("a_gif",),
    "video": ("a_gif",),  # is one
    "onnx": ("onnx_bits_flipped",),  # there are no checksums
    "weights": ("torch_bits_flipped",),  # is said; torch can leave checksums out
    "safetensors": ("second_half_is_zeros",),  # there are no checksums
}

KINDS: dict[str, Callable[[bytes], Iterator[Bad]]] = {
    "photo": pictures.of_photo,
    "frame": pictures.of_frame,
    "mask": pictures.of_mask,
    "video": pictures.of_video,
    "yaml": texts.of_yaml,
    "json": texts.of_json,
    "submission": texts.of_submission,
    "csv": texts.of_csv,
    "folds": texts.of_folds,
    "list": texts.of_list,
    "xml": texts.of_xml,
    "checkpoint": binaries.of_checkpoint,
    "weights": binaries.of_weights,
    "safetensors": binaries.of_safetensors,
    "map": binaries.of_map,
    "arrays": binaries.of_arrays,
    "onnx": binaries.of_onnx,
}
"""Kind -> a function of a good file's content to bad ones. To add a kind: a line here and in `good.py`."""


def bad_files(kind: str, good: bytes) -> dict[str, Bad]:
    """Return the bad files of a kind by name; `good` is the content of one that is right."""
    files = list(KINDS[kind](good))
    named = {bad.name: bad for bad in files}
    assert len(named) == len(files), f"{kind}: two bad files have one name"
    return named
