"""Settings that are of one of several kinds: a class for the choice, and one for each kind with its own settings.

    class Schedule(Choice):                  # the choice, with the settings that all kinds have
        epochs: Count = 40

    class Poly(Schedule):                    # a kind, with its name and the settings that it has alone
        kind: Literal["poly"] = "poly"
        power: Positive = 0.9

    schedule: Schedule = Poly()              # a field that takes any kind

In a file, `schedule: {kind: poly, power: 0.8}` names the kind, and `schedule: poly` is short for the kind with its
defaults. A setting of another kind is an unknown key.
"""

from collections.abc import Collection
from typing import Any, ClassVar, Literal, Self, cast, get_args, get_origin

from pydantic import GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from foldseg.config.schema.base import Settings


class Choice(Settings):
    """Base class of choices. The kinds of a choice are the classes that derive from it."""

    first_is_default: ClassVar[bool] = False
    """Whether settings that name no kind are of the kind that is defined first."""
    short_forms: ClassVar[tuple[dict[str, Any], ...]] = ()
    """JSON schemas of the short forms that `long_form` takes besides the name of a kind."""
    alternatives: ClassVar[tuple[str, ...]] = ()
    """Settings of a kind that exclude each other. A file that sets one of them drops those that its base sets."""
    kind: str
    """Which kind. The bare name stands for the kind with its defaults."""

    @classmethod
    def is_kind(cls) -> bool:
        """Return whether this class is a kind, and not the choice itself."""
        return get_origin(cls.model_fields["kind"].annotation) is Literal

    @classmethod
    def kinds(cls) -> dict[str, type[Self]]:
        """Return the class of every kind by its name, in the order in which they are defined."""
        kinds: dict[str, type[Self]] = {}
        for child in cls.__subclasses__():
            kinds |= {child.kind_name(): child} if child.is_kind() else child.kinds()
        return kinds

    @classmethod
    def choice(cls) -> "type[Choice]":
        """Return the class of the choice that this kind belongs to."""
        return next(parent for parent in reversed(cls.__mro__) if issubclass(parent, Choice) and parent is not Choice)

    @classmethod
    def kind_name(cls) -> str:
        """Return the name of this kind."""
        return str(get_args(cls.model_fields["kind"].annotation)[0])

    @classmethod
    def default_kind(cls) -> str | None:
        """Return the name of the kind that settings without a kind are of; None if a kind must be named."""
        return next(iter(cls.kinds())) if cls.first_is_default else None

    @classmethod
    def long_form(cls, value: Any) -> Any:
        """Return the mapping that a short form stands for: `poly` -> `{kind: poly}`. Other values are not changed."""
        return {"kind": value} if isinstance(value, str) else value

    @classmethod
    def with_kind(cls, value: Any) -> Any:
        """Return the long form, with the default kind if none is named. ValueError if there is no default kind."""
        value = cls.long_form(value)
        if not isinstance(value, dict) or "kind" in value:
            return value
        if cls.default_kind() is None:
            raise ValueError(f"kind is missing; it is one of {', '.join(cls.kinds())}")
        return {"kind": cls.default_kind(), **value}

    @classmethod
    def class_of(cls, value: Any) -> type[Settings]:
        """Return the class of the kind that a mapping names; the choice itself if it names no kind that there is."""
        if cls.is_kind():
            return cls
        name = value.get("kind", cls.default_kind()) if isinstance(value, dict) else None
        return cls.kinds().get(name, cls) if isinstance(name, str) else cls

    @classmethod
    def kept_below(cls, below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
        """Return those settings of a base that stay when the settings of a file are merged over it.

        If the file changes the kind, these are the settings that both kinds have, without alternatives. Otherwise all
        stay, but for the alternatives to what the file sets.
        """
        after = cls.class_of({**below, **above})
        alternatives = after.alternatives if issubclass(after, Choice) else ()
        is_other_kind = "kind" in above and after is not cls.class_of(below)
        if is_other_kind:
            below = {key: value for key, value in below.items() if key in after.model_fields and key != "kind"}
        if is_other_kind or any(above.get(name) is not None for name in alternatives):
            below = {key: value for key, value in below.items() if key not in alternatives}
        return below

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return the settings that a name or a mapping stands for. ValidationError if they are wrong."""
        value = cls.with_kind(value)
        return cast(Self, cls.class_of(value).model_validate(value))

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings of this kind that the contract tests try: the defaults.

        A kind that has a setting without a default overrides this. A kind also does if other settings do
        something else.
        """
        return (cls.model_validate({}),)

    @model_validator(mode="before")
    @classmethod
    def _is_of_a_kind(cls, values: Any) -> Any:
        if not cls.is_kind():
            raise ValueError(f"{cls.__name__} has to be one of {', '.join(cls.kinds())}")
        return values

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return pydantic's schema: of a kind its own, of the choice that of the kind which a value names."""
        if cls.is_kind() or not cls.kinds():
            return handler(source)
        union = core_schema.tagged_union_schema(
            {name: handler.generate_schema(kind) for name, kind in cls.kinds().items()}, discriminator="kind"
        )
        names = core_schema.literal_schema(list(cls.kinds()))
        return core_schema.no_info_before_validator_function(
            cls.with_kind, union, json_schema_input_schema=core_schema.union_schema([names, union])
        )


def check_entries(registry: Collection[Any], choice: type[Choice] | tuple[str, ...] | Any, place: str) -> None:
    """Raise TypeError unless a registry has exactly one entry for each kind or name that the settings offer.

    `choice`: a class of settings with kinds, a Literal of names, or the names themselves. `place`: the module and name
    of the registry, for the message.
    """
    if isinstance(choice, tuple):
        offered = set(choice)
    elif isinstance(choice, type) and issubclass(choice, Choice):
        offered = set(choice.kinds().values())
    else:
        offered = set(get_args(choice))
    missing, unknown = offered - set(registry), set(registry) - offered
    if missing:
        raise TypeError(f"{place}: has no entry for {_join_names(missing)}, which the settings offer")
    if unknown:
        raise TypeError(f"{place}: has an entry for {_join_names(unknown)}, which the settings do not offer")


def _join_names(entries: Collection[Any]) -> str:
    return ", ".join(sorted(getattr(entry, "__name__", str(entry)) for entry in entries))
