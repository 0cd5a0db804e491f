"""Settings before they are checked: files and overrides laid over one another, and who said what."""

from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from foldseg.config.schema import Settings

Keys = tuple[Any, ...]
Block = type[Settings]


@dataclass
class Draft:
    """The merged mapping, and where each key was said last. `model`: the class of the settings that it becomes."""

    model: Block
    content: dict[str, Any] = field(default_factory=dict)
    origin: dict[Keys, str] = field(default_factory=dict)

    def merge(self, addition: dict[str, Any], source: str) -> None:
        """Lay `addition` over the draft.

        Short forms are written out, so that `schedule=poly` changes the kind and `schedule.power=1` adds to it. What
        a block's class does not keep below a change (`Settings.kept_below`) is dropped.
        """
        self._merge(self.content, addition, source, (), self.model)

    def _merge(
        self, target: dict[str, Any], addition: dict[str, Any], source: str, path: Keys, block: Block | None
    ) -> None:
        for key, value in addition.items():
            here = (*path, key)
            self.origin[here] = source
            inner = block_of(block, key)
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
        """Return the file that said `keys` or the innermost mapping around them."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.origin:
                return self.origin[keys[:length]]
        return self.origin.get((), "configuration")

    def block_at(self, keys: Keys) -> Block | None:
        """Return the class of the block of settings at `keys`; None if there is none."""
        block: Block | None = self.model
        content: Any = self.content
        for key in keys:
            content = content[key]
            if isinstance(key, str):
                block = block_of(block, key)
            if block is not None:
                block = block.class_of(block.long_form(content))
        return block


def block_of(block: Block | None, key: Any) -> Block | None:
    """Return the class of the settings that a block holds at a key, or lists there; None if these are no settings."""
    if block is None or key not in block.model_fields:
        return None
    return _settings_in(block.model_fields[key].annotation)


def _settings_in(annotation: Any) -> Block | None:
    """Return the class of settings in `A`, `A | None`, `tuple[A, ...]`, `Annotated[A, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    if get_origin(annotation) not in (Annotated, Union, UnionType, tuple):
        return None
    inner = [_settings_in(part) for part in get_args(annotation) if part not in (NoneType, ...)]
    return next((block for block in inner if block is not None), None)
