"""The label set of data that the configuration describes."""

from foldseg.config.schema import OwnData
from foldseg.config.schema.data_classes import DataClass
from foldseg.data.labels import Colour, LabelClass, LabelSet
from foldseg.errors import FoldsegError

BACKGROUND = "background"


def make_label_set(settings: OwnData) -> LabelSet:
    """Return all classes of a data set. FoldsegError if ids or colours are there twice."""
    try:
        if settings.mask_values == "colors":
            return _make_from_colors(settings)
        return _make_from_ids(settings)
    except ValueError as error:
        raise FoldsegError(f"data.dataset.classes: {error}") from None


def list_classes(settings: OwnData) -> tuple[DataClass, ...]:
    """Return the classes of the settings.

    If exclusive masks are drawn, class by class, the pixels in none of them are `background`. It is added as the
    first class, if there is no class of this name.
    """
    needs_background = settings.draws_masks and not settings.overlapping
    if needs_background and all(entry.name.lower() != BACKGROUND for entry in settings.classes):
        return (DataClass(name=BACKGROUND, scored=False), *settings.classes)
    return settings.classes


def _make_from_ids(settings: OwnData) -> LabelSet:
    classes = list_classes(settings)
    has_bits = settings.overlapping and (settings.mask_values == "bits" or settings.draws_masks)
    colours = _choose_colours(classes)
    labels = []
    for index, (entry, colour) in enumerate(zip(classes, colours, strict=True)):
        raw_ids = entry.ids or (index + settings.overlapping,)  # 0 is no class, if classes overlap
        if has_bits:
            raw_ids = tuple(value for value in range(1 << len(classes)) if value >> index & 1)
        category, label = entry.category or "", entry.label or ""
        labels.append(LabelClass(entry.name, colour, raw_ids, entry.scored, category=category, label=label))
    void = tuple(value for value in settings.void if isinstance(value, int))
    return LabelSet(tuple(labels), void, overlapping=settings.overlapping, background_ids=settings.background)


def _make_from_colors(settings: OwnData) -> LabelSet:
    """Number the colours: those of the classes in order, then those of void. The numbers are the raw ids."""
    colours: list[Colour] = []
    labels = []
    for entry in settings.classes:
        own = [color for color in (entry.color, *entry.more_colors) if color is not None]
        raw_ids = tuple(range(len(colours), len(colours) + len(own)))
        colours += own
        category, label = entry.category or "", entry.label or ""
        labels.append(LabelClass(entry.name, own[0], raw_ids, entry.scored, category=category, label=label))
    void = [value for value in settings.void if not isinstance(value, int)]
    void_ids = tuple(range(len(colours), len(colours) + len(void)))
    colours += void
    repeated = [colour for colour in dict.fromkeys(colours) if colours.count(colour) > 1]
    if repeated:
        raise ValueError(f"the colour {list(repeated[0])} is there twice")
    return LabelSet(tuple(labels), void_ids, tuple(colours))


def _choose_colours(classes: tuple[DataClass, ...]) -> list[Colour]:
    """Return a colour for every class: its own, or the next one of Pascal VOC's colour map that is free."""
    used = {entry.color for entry in classes if entry.color is not None}
    free = (colour for colour in map(colour_of_voc, range(1, 1 << 16)) if colour not in used)
    colours = []
    for entry in classes:
        if entry.color is not None:
            colours.append(entry.color)
        elif entry.name.lower() == BACKGROUND and (0, 0, 0) not in used:
            colours.append((0, 0, 0))
            used.add((0, 0, 0))
        else:
            colours.append(next(free))
    return colours


def colour_of_voc(number: int) -> Colour:
    """Return a colour of Pascal VOC's colour map, in which the bits of a number are spread over red, green and blue."""
    channels = [0, 0, 0]
    for position in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * position + channel) & 1) << (7 - position)
    return channels[0], channels[1], channels[2]
