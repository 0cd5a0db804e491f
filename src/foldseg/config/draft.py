"""Settings before they are checked: files and overrides merged into one mapping, and the source of each key."""

from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from foldseg.config.schema import Settings

Keys = tuple[Any, ...]
Block = type[Settings]


@dataclass
class Draft:
    """A mapping that is merged from several sources, and becomes settings when it is validated."""

    model: Block
    """Class of the settings that it becomes."""
    content: dict[str, Any] = field(default_factory=dict)
    """The merged mapping."""
    origin: dict[Keys, str] = field(default_factory=dict)
    """Keys, from the outermost to the innermost -> file or "the command line", whichever set them last."""

    def merge(self, addition: dict[str, Any], source: str) -> None:
        """Merge `addition` over the draft; `source` says where it comes from.

        Short forms are written out, so that `schedule=poly` changes the kind and `schedule.power=1` adds to it. A
        change of kind drops the settings that the new kind does not have (`Settings.kept_below`).
        """
        self._merge(self.content, addition, source, (), self.model)

    def _merge(
        self, target: dict[str, Any], addition: dict[str, Any], source: str, path: Keys, block: Block | None
    ) -> None:
        for key, value in addition.items():
            here = (*path, key)
            self.origin[here] = source
            inner = find_block(block, key)
            if inner is not None:
                value = inner.long_form(value)
            if not isinstance(value, dict):
                target[key] = value
                continue
            below = target.get(key)
            below = below if isinstance(below, dict) else {}
            if inner is not None:
                below = inner.kept_below(below, value)
                inner = inner.class_of(below | value)
            target[key] = below
            self._merge(below, value, source, here, inner)

    def source_of(self, keys: Keys) -> str:
        """Return the file that set `keys`, or else the innermost mapping around them."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.origin:
                return self.origin[keys[:length]]
        return self.origin.get((), "configuration")

    def block_at(self, keys: Keys) -> Block | None:
        """Return the class of the block of settings at `keys`; None if there is no block."""
        block: Block | None = self.model
        content: Any = self.content
        for key in keys:
            content = content[key]
            if isinstance(key, str):
                block = find_block(block, key)
            if block is not None:
                block = block.class_of(block.long_form(content))
        return block


def find_block(block: Block | None, key: Any) -> Block | None:
    """Return the class of the settings, or of the list of settings, at a key of a block; None for any other value."""
    if block is None or key not in block.model_fields:
        return None
    return _settings_in(block.model_fields[key].annotation)


def _settings_in(annotation: Any) -> Block | None:
    """Return the class A of settings in a type `A`, `A | None`, `tuple[A, ...]` or `Annotated[A, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    if get_origin(annotation) not in (Annotated, Union, UnionType, tuple):
        return None
    for part in get_args(annotation):
        block = None if part in (NoneType, ...) else _settings_in(part)
        if block is not None:
            return block
    return None
