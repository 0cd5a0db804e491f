"""The sizes of a submission's images: those of the image files, compared with the option --size."""

from collections.abc import Mapping

from foldseg.data.datasets import DataSet
from foldseg.errors import FoldsegError
from foldseg.submission.interface import Size, Sizes


def read_sizes(data: DataSet, split: str | None = None) -> Sizes:
    """Return id -> (height, width) of the images of a data set, or of one split. Empty if its folder does not exist."""
    if not data.root.exists():
        return {}
    table = data.samples if split is None else data.samples[data.samples["split"] == split]
    return {name: data.size_of(name) for name in table["id"]}


def check_size_option(option: Size, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Raise FoldsegError if the option --size differs from the size of an image file.

    `sizes`: name -> (height, width).
    """
    for name, size in sizes.items():
        if option is not None and size != option:
            raise FoldsegError(
                f"--size: {option[1]}x{option[0]} is given, and {name} is {size[1]}x{size[0]} (width x height); "
                "leave --size out: it is for images that are not at hand"
            )
