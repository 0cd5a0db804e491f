"""What is handed in: a class per format, with its settings. What a format does is in `foldseg.submission.formats`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from foldseg.config.schema.base import ConflictError, Size, UserPath
from foldseg.config.schema.choice import Choice


def _as_text(value: Any) -> Any:
    """Return a number of a YAML file as text: a contest's class or cell may be `1` or `-1`."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _with_text_keys(value: Any) -> Any:
    return {_as_text(key): inner for key, inner in value.items()} if isinstance(value, dict) else value


Text = Annotated[str, BeforeValidator(_as_text)]
ClassOfText = Annotated[dict[str, str], BeforeValidator(_with_text_keys), Field(min_length=1)]
"""Name of a class in the contest -> name of a class here."""
RawId = Annotated[int, Field(ge=0, le=65535)]
IdOfClass = Annotated[dict[str, RawId], Field(min_length=1)]
ClassNames = Annotated[tuple[str, ...], Field(min_length=1)]


class SubmissionKind(Choice):
    """What is handed in: the format of the submission and its settings."""

    first_is_default = True


class LabelPng(SubmissionKind):
    """A folder `labels` of PNGs, `<id>.png`, whose pixels are the ids of classes."""

    kind: Literal["label_png"] = "label_png"
    values: IdOfClass | None = None
    """Ids of classes that differ from those of the masks: `{road: 7}`. Other classes have the first id of the masks."""
    palette: bool = False
    """Whether the PNGs have a palette of the classes' colours, so that viewers show them. Ids are the same."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return cls(), cls(palette=True)


class SignateJson(SubmissionKind):
    """The JSON of the AI Edge Contest: segments of rows of the scored classes."""

    kind: Literal["signate_json"] = "signate_json"


class RunLength(SubmissionKind):
    """A CSV with a mask per row, as a run-length string. The contest's sample file says how it looks."""

    kind: Literal["run_length"] = "run_length"
    sample: UserPath | None = None
    """The contest's sample_submission.csv. Header, order of rows, ids and empty masks are written as it has them.
    null: a row for each image and class, in the columns `columns`."""
    columns: Annotated[tuple[str, ...], Field(min_length=2, max_length=3)] | None = None
    """Names of the columns: [id, runs] or [id, class, runs]. null: those with usual names; without a sample
    `id` and `rle`, and `class` between them if there are several classes."""
    direction: Literal["down", "rows"] = "down"
    """Whether pixels are counted down the columns or along the rows."""
    base: Literal[0, 1] = 1
    """Number of the first pixel."""
    relative: bool = False
    """Whether a start is the distance from the end of the segment before."""
    size: Size | None = None
    """Height and width that masks are resized to before they are encoded. null: the size of each image."""
    empty: Text | None = None
    """What is written for a mask without pixels. null: what the sample has, if that is `-1` or `-`; otherwise
    nothing."""
    classes: ClassOfText | None = None
    """The contest's name of each class: `{Fish: fish}`. null: its `label` or name in the data, or its number from 1.
    Only scored classes that are no background are written."""
    objects: bool = False
    """Whether every object is a row of its own. An object is a connected component."""

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        if self.columns is not None and len(set(self.columns)) != len(self.columns):
            raise ConflictError(f"columns {', '.join(self.columns)} name a column twice", "columns")
        return self

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (
            cls(),
            cls(direction="rows", base=0, columns=("img", "label", "pixels")),
            cls(relative=True, base=0, empty="-1"),
        )


class ColourPng(SubmissionKind):
    """A folder `colours` of RGB PNGs, `<id>.png`, whose pixels are the colours of classes."""

    kind: Literal["colour_png"] = "colour_png"


class BinaryPng(SubmissionKind):
    """A folder `masks` of PNGs that are 255 where a class is, and 0 elsewhere: `<class>/<id>.png`, or `<id>.png`."""

    kind: Literal["binary_png"] = "binary_png"
    classes: ClassNames | None = None
    """The classes that are written. null: the scored ones that are no background. If it is one class, the PNGs are
    in the folder itself; of several, each has a folder."""


class Npy(SubmissionKind):
    """A folder `arrays` of NumPy files, `<id>.npy`: ids (H, W), or planes (classes, H, W) of 0 and 1."""

    kind: Literal["npy"] = "npy"
    planes: bool = False
    """Whether each file has a plane for each class. Otherwise it has ids, as `label_png`."""
    values: IdOfClass | None = None
    """Ids of classes that differ from those of the masks. Not for planes."""
    classes: ClassNames | None = None
    """The classes of planes, in this order. null: the scored ones that are no background."""

    @model_validator(mode="after")
    def _settings_go_together(self) -> Self:
        if self.planes and self.values is not None:
            raise ConflictError("values are for ids, not for planes", "values", "planes")
        if not self.planes and self.classes is not None:
            raise ConflictError("classes are for planes: true; ids are of all classes", "classes", "planes")
        return self

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return cls(), cls(planes=True)
