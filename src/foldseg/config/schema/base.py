"""The base class of all blocks of settings, and types of values with bounds."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from foldseg.files import user_path

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weight = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Size = tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]]


def _refuse_empty(path: Any) -> Any:
    if path == "":
        raise ValueError("an empty name is no path")
    return path


UserPath = Annotated[Path, BeforeValidator(_refuse_empty), AfterValidator(user_path)]
"""A file or folder. `~` is filled in."""
UserPathText = Annotated[str, AfterValidator(lambda text: str(user_path(Path(text))))]
"""The same as a text, for settings that may also be a name."""
Name = Annotated[str, Field(pattern=r"^[^/\\\x00.][^/\\\x00]*$")]
"""The name of a folder that foldseg creates: no path, and not hidden."""
CheckpointName = Annotated[
    str, Field(pattern=r"^(best|last|ema|swa|average|soup|snapshot_[1-9][0-9]*|(top|epoch)_(0|[1-9][0-9]*))$")
]
"""The name of a checkpoint. snapshot_<k> is from the end of the k-th cycle, from 1. top_<n> and epoch_<n> are from an
epoch, from 0."""


class Settings(BaseModel):
    """A block of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )
    mistaken_names: ClassVar[dict[str, str]] = {}
    """Name that other programs give to a setting -> its name here. Messages about unknown keys use it."""

    @classmethod
    def long_form(cls, value: Any) -> Any:
        """Return the mapping that a short form stands for. A block without short forms returns `value` itself."""
        return value

    @classmethod
    def kept_below(cls, below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
        """Return those settings of a base, `below`, that stay when those of a file, `above`, are merged over them."""
        return below

    @classmethod
    def class_of(cls, value: Any) -> "type[Settings]":
        """Return the class of the settings in `value`. For a choice it is the class of the kind that `value` names."""
        return cls


class ConflictError(ValueError):
    """Settings that do not go together; `keys` are their dotted names within the block that raises this."""

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(message)
        self.keys = keys
