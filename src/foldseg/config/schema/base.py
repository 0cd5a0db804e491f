"""What all settings share: how they behave, and types with bounds."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from foldseg.files import user_path

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weight = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Size = tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]]


def _said(path: Any) -> Any:
    if path == "":
        raise ValueError("an empty name is no path")
    return path


UserPath = Annotated[Path, BeforeValidator(_said), AfterValidator(user_path)]
"""A file or folder; `~` is filled in."""
UserPathText = Annotated[str, AfterValidator(lambda text: str(user_path(Path(text))))]
"""The same as text, where a name may stand instead."""
Name = Annotated[str, Field(pattern=r"^[^/\\\x00.][^/\\\x00]*$")]
"""The name of a folder that is made: no path, and not hidden."""
CheckpointName = Annotated[
    str, Field(pattern=r"^(best|last|ema|swa|average|soup|snapshot_[1-9][0-9]*|(top|epoch)_(0|[1-9][0-9]*))$")
]
"""A checkpoint of a run: snapshot_<k> is of the end of the k-th cycle, from 1; top_<n>, epoch_<n> of epochs from 0."""


class Settings(BaseModel):
    """A block of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )
    mistaken_names: ClassVar[dict[str, str]] = {}
    """What a key is called elsewhere -> its name here, for messages."""

    @classmethod
    def long_form(cls, value: Any) -> Any:
        """Return the mapping of settings that a short form stands for; a block without short forms returns `value`."""
        return value

    @classmethod
    def kept_below(cls, below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
        """Return those settings of a base, `below`, that stay when a file lays its settings, `above`, over them."""
        return below

    @classmethod
    def class_of(cls, value: Any) -> "type[Settings]":
        """Return the class of the settings that `value` is of: of a choice, that of the kind which it names."""
        return cls


class ConflictError(ValueError):
    """Settings that do not go together; `keys` are their dotted names within the block that raises this."""

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(message)
        self.keys = keys
