"""How large the images of a submission are: what the images at hand say, and whether the command line agrees."""

from collections.abc import Mapping

from foldseg.data.datasets import DataSet
from foldseg.errors import FoldsegError
from foldseg.submission.format import Size, Sizes


def known_sizes(data: DataSet, split: str | None = None) -> Sizes:
    """Return id -> (height, width) of the images of a data set, or of one split; empty where it is not there."""
    if not data.root.exists():
        return {}
    table = data.samples if split is None else data.samples[data.samples["split"] == split]
    return {name: data.size_of(name) for name in table["id"]}


def check_given_size(given: Size, sizes: Mapping[str, tuple[int, int]]) -> None:
    """FoldsegError when a size that was given is not that of what is at hand; `sizes`: name -> (height, width)."""
    for name, size in sizes.items():
        if given is not None and size != given:
            raise FoldsegError(
                f"--size: {given[1]}x{given[0]} is given, and {name} is {size[1]}x{size[0]} (width x height); "
                "leave --size out: it is for images that are not at hand"
            )
