"""Every command, given every kind of bad file: it says so once and ends, and nothing is lost."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer

from command.line import CommandLine, Finished
from corpus.bad import Bad
from corpus.binaries import CANARY
from corpus.kinds import HARMLESS, KINDS, bad_files
from corpus.places import PLACES, Place
from corpus.world import Entry, Snapshot, build_world, remove
from foldseg.cli.app import app
from tiny_demo import train_variants

SECONDS = 60  # within which a command ends, whatever it was given
READ_NOTHING = ("init", "settings", "commands")  # verbs that are given no files
ADDRESSES = 10 * 2**30  # bytes, of which Python and torch take 4 GB
FEWEST = 6  # bad files that a place is given
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d ")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Snapshot]:
    """Build the world, once, and keep a copy of it."""
    trained = tmp_path_factory.mktemp("trained")
    train_variants(trained, ["full"])
    root = tmp_path_factory.mktemp("corpus") / "world"
    root.mkdir()
    build_world(root, trained, command_line)
    yield Snapshot.of(root, root.with_name("kept"))


def test_every_verb_has_a_place():
    verbs = {name for name in typer.main.get_command(app).commands if name not in READ_NOTHING}
    assert verbs == {place.command for place in PLACES}


def test_every_kind_has_a_place():
    assert {place.kind for place in PLACES} == set(KINDS)


def run(command_line: CommandLine, place: Place, root: Path) -> Finished:
    # Addresses are limited so that a bomb ends the command, not the machine; the libraries of a GPU map far more
    surroundings = {"limits": {"RLIMIT_AS": ADDRESSES}, "env": {"CUDA_VISIBLE_DEVICES": ""}}
    return command_line.run(place.command, *place.words.split(), cwd=root, seconds=SECONDS, **surroundings)


@pytest.mark.parametrize("call", sorted({(place.command, place.words) for place in PLACES}), ids=" ".join)
def test_good_files_are_taken(command_line: CommandLine, world: Snapshot, call: tuple[str, str]):
    """Otherwise a command would fail for another reason than the bad file."""
    place = next(place for place in PLACES if (place.command, place.words) == call)
    done = run(command_line, place, world.root)
    new = world.changed(world.root)[1]
    world.restore(world.root / "nothing")
    assert done.status == 0, done.said
    assert not [name for name in new if name.endswith(".partial")]


def dealt_out() -> list[tuple[Place, int, int]]:
    """Return places with the number of others of their kind before them, and of all of their kind."""
    kinds = Counter(place.kind for place in PLACES)
    before: Counter[str] = Counter()
    places = []
    for place in PLACES:
        places.append((place, before[place.kind], kinds[place.kind]))
        before[place.kind] += 1
    return places


def share(files: dict[str, Bad], number: int, places: int) -> list[Bad]:
    """Return what one of several places of a kind is given: every bad file comes to one place, and some to all places.

    Commands share the code that reads a kind of file. With FOLDSEG_CORPUS=all every place is given every file, which
    takes half an hour.
    """
    every = list(files.values())
    if os.environ.get("FOLDSEG_CORPUS") == "all":
        return every
    own = set(range(number % len(every), len(every), places))
    if len(own) < FEWEST:  # more, spread over the others
        own |= {(number * 7 + step * len(every) // FEWEST) % len(every) for step in range(FEWEST - len(own))}
    return [every[index] for index in sorted(own)]


@pytest.mark.parametrize(("place", "number", "places"), dealt_out(), ids=lambda part: getattr(part, "name", ""))
def test_bad_files_are_told_and_nothing_is_lost(
    command_line: CommandLine, world: Snapshot, place: Place, number: int, places: int
):
    (file,) = world.root.glob(place.file)
    good = (world.kept / file.relative_to(world.root)).read_bytes()
    problems = []
    for bad in share(bad_files(place.kind, good), number, places):
        try:
            wrong = check(command_line, world, place, file, bad)
        finally:
            world.restore(file)
        problems += [f"{bad.name}: {text}" for text in wrong]
    assert not problems, "\n".join(problems)


def check(command_line: CommandLine, world: Snapshot, place: Place, file: Path, bad: Bad) -> list[str]:
    """Run a command with a bad file in place; return what is not as it should be."""
    remove(file)
    bad.write(file)
    before = Entry.of(file)
    try:
        done = run(command_line, place, world.root)
    except AssertionError as error:
        return [str(error).strip()[-300:]]
    lost, new = world.changed(file)
    spared = place.writes if done.status == 0 else place.loses
    lost = [name for name in lost if not any(fnmatch(name, pattern) for pattern in spared)]
    problems = [f"{what}: {names}" for what, names in (("lost", lost), ("left", unwanted(new, done, place))) if names]
    may_change = done.status == 0 and any(fnmatch(place.file, pattern) for pattern in place.writes)
    if not may_change and (not os.path.lexists(file) or before != Entry.of(file)):
        problems.append("the bad file was changed")
    if done.status == 0:
        return problems + (
            [] if is_harmless(place, bad) and "error:" not in done.stderr else [f"status 0: {done.said}"]
        )
    names = [file.name, file.stem, file.parent.name, *place.says, *([bad.key] if bad.key else [])]
    names = [] if is_harmless(place, bad) else names
    return problems + wrong_with_refusal(done, names)


def is_harmless(place: Place, bad: Bad) -> bool:
    """Tell whether a command may take a bad file for a good one."""
    if place.kind == "json" and bad.key is not None and place.needs is not None and bad.key not in place.needs:
        return True
    return any(fnmatch(bad.name, pattern) for pattern in (*HARMLESS.get(place.kind, ()), *place.harmless))


def unwanted(new: list[str], done: Finished, place: Place) -> list[str]:
    """Return new files that should not be there: all after an error but a run's description, else what is not whole."""
    if done.status != 0:
        return [name for name in new if not any(fnmatch(name, pattern) for pattern in place.begins)]
    return [name for name in new if name.endswith(".partial") or name == CANARY]


def wrong_with_refusal(done: Finished, names: list[str]) -> list[str]:
    """Return what is wrong with how a command said that a file is bad, which should be by one of `names`."""
    lines = done.stderr.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    shown = done.stderr.strip()[-300:]
    if done.status != 1 or len(starts) != 1:
        return [f"status {done.status}: {shown}"]
    message = "\n".join(lines[starts[0] :])
    problems = [f"more than a message: {line[:200]}" for line in lines[: starts[0]] if not LOG_LINE.match(line)]
    if names and not any(name in done.stderr for name in names):
        problems.append(f"names no file: {shown}")
    if len(message) > 4000 or not all(character.isprintable() or character == "\n" for character in message):
        problems.append(f"cannot be read: {message[:200]!r}")
    return problems
