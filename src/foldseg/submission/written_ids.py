"""The ids that pictures and arrays of ids hold: those of the masks, or those that settings give."""

from collections.abc import Mapping
from dataclasses import replace

from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError


def with_values(labels: LabelSet, values: Mapping[str, int] | None) -> LabelSet:
    """Return the label set with other raw ids for the classes that `values` names, and without colours.

    FoldsegError for an unknown class, and if two classes would have one id.
    """
    values = values or {}
    if unknown := [name for name in values if name not in labels.names]:
        raise FoldsegError(f"submission.values: unknown {', '.join(unknown)}; there are {', '.join(labels.names)}")
    if values and labels.overlapping:
        raise FoldsegError("submission.values: are for exclusive classes; those of this label set may overlap")
    given = set(values.values())
    classes = []
    for label in labels.classes:
        if label.name in values:
            classes.append(replace(label, raw_ids=(values[label.name],), is_merged=False))
        elif len(label.raw_ids) > 1:  # further ids are for reading alone, and may be given to other classes
            rest = tuple(raw_id for raw_id in label.raw_ids[1:] if raw_id not in given)
            classes.append(replace(label, raw_ids=(label.raw_ids[0], *rest)))
        else:
            classes.append(label)
    void_ids = tuple(raw_id for raw_id in labels.void_ids if raw_id not in given)
    try:
        return replace(labels, classes=tuple(classes), void_ids=void_ids, raw_colours=())
    except ValueError:
        owners: dict[int, list[str]] = {}
        for label in classes:
            owners.setdefault(label.raw_ids[0], []).append(label.name)
        raw_id, names = next((raw_id, names) for raw_id, names in owners.items() if len(names) > 1)
        raise FoldsegError(
            f"submission.values: {' and '.join(names)} would have one id, {raw_id}; give each its own"
        ) from None


def list_unwritable(labels: LabelSet, values: Mapping[str, int] | None) -> list[str]:
    """Return the classes that have no id to be written: they stand for several, and no value is given."""
    return [label.name for label in labels.classes if label.written_id is None and label.name not in (values or {})]
