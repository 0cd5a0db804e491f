"""Bad JSON, YAML, CSV and lists."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import yaml

from corpus.bad import Bad, of_any_kind, of_bytes

DEEP = 100_000
LONG_NUMBER = "9" * 5000  # more digits than Python turns into a number
ESCAPE = "\x1b[2J\x1b[31mred"  # clears a terminal that prints it


def of_text(good: bytes) -> Iterator[Bad]:
    """Yield what can be wrong with any file of text."""
    yield from of_any_kind(good)
    text = good.decode()
    yield of_bytes("utf_16", text.encode("utf-16"))
    yield of_bytes("latin_1", good + "\n# Straße\n".encode("latin-1"))
    yield of_bytes("a_nul_byte", good[: len(good) // 2] + b"\0" + good[len(good) // 2 :])


def of_json(good: bytes) -> Iterator[Bad]:
    """Yield bad JSONs: of broken syntax, and with other content than `good` has."""
    yield from of_text(good)
    content = json.loads(good)
    deep = b"[" * DEEP + b"]" * DEEP
    yield of_bytes("json_deep_list", deep)
    yield of_bytes("json_deep_mapping", b'{"a":' * DEEP + b"1" + b"}" * DEEP)
    yield of_bytes("json_trailing_text", good + b"x")
    yield of_bytes("json_twice", good + good)
    yield of_bytes("json_single_quotes", good.replace(b'"', b"'"))
    for name, other in (("null", None), ("list", []), ("text", "x"), ("number", 5), ("list_of_it", [content])):
        yield of_bytes(f"json_{name}", json.dumps(other).encode())
    yield from _json_values(content)


def _json_values(content: Any) -> Iterator[Bad]:
    """Yield the mapping `content` with one value at a time gone or of another kind."""
    yield of_bytes("json_empty_mapping", b"{}")
    values = {"text": json.dumps(ESCAPE), "negative": "-1", "long_number": LONG_NUMBER, "nan": "NaN", "huge": "1e999"}
    values |= {"list": "[[1]]", "mapping": '{"a": {}}', "surrogate": '"\\ud800"', "deep": "[" * 99 + "]" * 99}
    for number, key in enumerate(content):
        rest = {name: value for name, value in content.items() if name != key}
        yield of_bytes(f"json_{key}_missing", json.dumps(rest).encode(), key)
        name, value = list(values.items())[number % len(values)]
        body = [f"{json.dumps(k)}: {value if k == key else json.dumps(v)}" for k, v in content.items()]
        yield of_bytes(f"json_{key}_{name}", ("{" + ", ".join(body) + "}").encode(), key)


def of_yaml(good: bytes) -> Iterator[Bad]:
    """Yield bad YAMLs: of broken syntax, and with other content than `good` has."""
    yield from of_text(good)
    names = [f"a{level}" for level in range(30)]
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"{name}: &{name} [{', '.join(['*' + last] * 9)}]" for last, name in itertools.pairwise(names)]
    yield of_bytes("yaml_bomb_of_aliases", "\n".join(bomb).encode())
    yield of_bytes("yaml_endless_alias", good + b"\nseed: &a [*a]\n")
    yield of_bytes("yaml_deep_list", b"a: " + b"[" * 5000 + b"]" * 5000)
    yield of_bytes("yaml_object", b"name: !!python/object/apply:os.system ['touch canary']\n")
    yield of_bytes("yaml_tab", b"a:\n\tb: 1\n")
    yield of_bytes("yaml_open_quote", good + b'\nname: "x\n')
    yield of_bytes("yaml_two_documents", b"a: 1\n---\nb: 2\n")
    yield of_bytes("yaml_list", b"- a\n- b\n")
    yield of_bytes("yaml_text", b"just words\n")
    yield of_bytes("yaml_number_keys", good + b"\n1: 2\n")
    yield of_bytes("yaml_empty_key", good + b"\n'': 2\n")
    yield of_bytes("yaml_key_that_is_a_list", good + b"\n? [a]\n: 2\n")
    yield of_bytes("yaml_unknown_key", good + b"\nunknown_key: 2\n")
    yield of_bytes("yaml_escape_codes", good + b'\n"\\e[2Jx": 1\n')
    yield of_bytes("yaml_merge_of_text", good + b"\n<<: text\n")
    yield of_bytes("yaml_date", good + b"\n2024-13-45: 1\n")
    for name, base in {
        "of_itself": "{self}",
        "missing": "nowhere.yaml",
        "a_folder": ".",
        "a_number": "5",
        "a_device": "/dev/zero",
        "with_a_nul": '"a\\0b"',
        "too_long": "x" * 5000,
    }.items():
        yield Bad(f"yaml_base_{name}", lambda path, b=base: _write_base(path, b))
    yield from _yaml_values(yaml.safe_load(good))


def _write_base(path: Any, base: str) -> None:
    path.write_text(f"base: {base.replace('{self}', path.name)}\n")


def _yaml_values(content: dict[str, Any]) -> Iterator[Bad]:
    """Yield the mapping `content` with one value at a time gone or of another kind."""
    for key in ("data", "members", "view", "name"):
        if key in content:
            rest = {name: value for name, value in content.items() if name != key}
            yield of_bytes(f"yaml_without_{key}", yaml.safe_dump(rest).encode())
    values = ["null", "5", "x", "[]", "[1, [2]]", "{a: {b: 1}}", ".nan", "-.inf", LONG_NUMBER, '"a\\0b"', "'../../x'"]
    keys = [key for key in content if key not in ("name", "runs", "submissions", "cache", "base")]
    for number, value in enumerate(values):
        key = keys[number % len(keys)]
        rest = {name: value for name, value in content.items() if name != key}
        yield of_bytes(f"yaml_{key}_{number}", (yaml.safe_dump(rest) + f"\n{key}: {{x: {value}}}\n").encode())
    if isinstance(content.get("data"), dict):
        yield from _yaml_data(content)


def _yaml_data(content: dict[str, Any]) -> Iterator[Bad]:
    """Yield YAMLs whose block `data` names what cannot be."""
    for name, change in {
        "unknown_data_set": {"dataset": "imagenet"},
        "root_a_device": {"root": "/dev/null"},
        "root_empty": {"root": ""},
        "root_with_a_nul": {"root": "a\0b"},
        "root_too_long": {"root": "x" * 5000},
        "root_a_list": {"root": ["a"]},
        "folds_a_folder": {"folds": "/"},
        "fold_count_1": {"fold_count": 1},
        "fold_count_huge": {"fold_count": 10**30},
        "fold_splits_empty": {"fold_splits": []},
        "fold_splits_unknown": {"fold_splits": ["train", "tset"]},
        "labels_unknown": {"labels": "skored"},
        "width_negative": {"dataset": {"kind": "toy_city", "width": -5}},
    }.items():
        whole = yaml.safe_dump({**content, "data": {**content["data"], **change}}).encode()
        yield of_bytes(f"yaml_{name}", whole, next(iter(change)))


def of_csv(good: bytes) -> Iterator[Bad]:
    """Yield bad CSVs: of broken syntax, and with other rows than `good` has."""
    yield from of_text(good)
    header, *rows = good.decode().splitlines()
    columns = header.split(",")

    def table(*lines: str) -> bytes:
        return ("\n".join(lines) + "\n").encode()

    yield of_bytes("csv_header_only", table(header))
    yield of_bytes("csv_no_header", table(*rows))
    yield of_bytes("csv_other_header", table("a,b", "1,2"))
    yield of_bytes("csv_semicolons", good.replace(b",", b";"))
    yield of_bytes("csv_open_quote", table(header, *rows[:1], '"' + rows[-1]))
    yield of_bytes("csv_ragged", table(header, *rows, rows[0] + ",1,2,3"))
    yield of_bytes("csv_column_twice", table(header + "," + columns[0], *[row + ",x" for row in rows]))
    for place, column in enumerate(columns[:2]):
        without = [",".join(row.split(",")[:place] + row.split(",")[place + 1 :]) for row in (header, *rows)]
        yield of_bytes(f"csv_without_{column}", table(*without))


def of_folds(good: bytes) -> Iterator[Bad]:
    """Yield bad folds files."""
    yield from of_csv(good)
    header, *rows = good.decode().splitlines()
    cells = [row.split(",") for row in rows]

    def with_fold(value: str) -> bytes:
        return "\n".join([header, ",".join([cells[0][0], value, *cells[0][2:]]), *rows[1:]]).encode() + b"\n"

    for name, value in {
        "text": "x",
        "fraction": "0.5",
        "negative": "-1",
        "empty": "",
        "nan": "nan",
        "infinite": "inf",
        "huge": "9" * 30,
        "gap": "7",
        "true": "True",
    }.items():
        yield of_bytes(f"folds_fold_{name}", with_fold(value))
    yield of_bytes("folds_id_twice", good + rows[0].encode() + b"\n")
    yield of_bytes("folds_id_unknown", good + b"nobody,0,nobody,x\n")
    yield of_bytes("folds_id_escape", good + f"{ESCAPE},0,nobody,x\n".encode())
    yield of_bytes("folds_id_missing", ("\n".join([header, *rows[1:]]) + "\n").encode())
    yield of_bytes("folds_one_fold", "\n".join([header, *[",".join([c[0], "0", *c[2:]]) for c in cells]]).encode())
    divided = [",".join([c[0], str(number % 2), *c[2:]]) for number, c in enumerate(cells)]
    yield of_bytes("folds_groups_divided", "\n".join([header, *divided]).encode())


def of_list(good: bytes) -> Iterator[Bad]:
    """Yield bad lists of CamVid's frames."""
    yield from of_text(good)
    line = good.splitlines()[0].split()[0]
    for name, extra in {
        "missing_frame": b"/a/0001TP_999999.png /b/0001TP_999999.png",
        "frame_twice": line,
        "not_a_frame": b"/a/Strasse.png /b/Strasse.png",
        "way_out": b"/a/.. /b/..",
        "escape": ESCAPE.encode(),
        "huge_number": b"/a/0001TP_" + LONG_NUMBER.encode() + b".png",
        "long_line": b"x" * 1_000_000,
    }.items():
        yield of_bytes(f"list_{name}", good + extra + b"\n")


CVAT = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><labels><label><name>car'
    b'</name><color>#ff0000</color></label></labels></task></meta><image id="0" name="a_1.jpg" width="96" height="64">'
    b'<box label="car" xtl="1.0" ytl="2.0" xbr="30.0" ybr="40.0" z_order="0"></box></image></annotations>\n'
)


def of_xml(good: bytes) -> Iterator[Bad]:
    """Yield bad XMLs of CVAT: of broken syntax, dangerous ones, and with other content than `good` has."""
    yield from of_any_kind(good)
    middle = len(good) // 2
    yield of_bytes("a_nul_byte", good[:middle] + b"\0" + good[middle:])
    head, body = good.split(b"\n", 1)
    laughs = b"".join(b'<!ENTITY a%d "%s">' % (level + 1, b"&a%d;" % level * 10) for level in range(12))
    yield of_bytes(
        "xml_bomb", head + b'<!DOCTYPE x [<!ENTITY a0 "ha">' + laughs + b"]>" + body.replace(b"car", b"&a9;")
    )
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    yield of_bytes("xml_of_another_file", head + outside + body.replace(b"car", b"&a;"))
    yield of_bytes("xml_deep", head + b"<annotations>" + b"<a>" * DEEP + b"</a>" * DEEP + b"</annotations>")
    for name, before, after in (
        ("no_name", b'name="a_1.jpg"', b""),
        ("escape", b"a_1.jpg", b"&#27;[2J.jpg"),
        ("width_text", b'width="96"', b'width="x"'),
        ("width_huge", b'width="96"', b'width="%s"' % LONG_NUMBER.encode()),
        ("no_label", b'label="car"', b""),
        ("corner_nan", b'xtl="1.0"', b'xtl="nan"'),
        ("corner_huge", b'xtl="1.0"', b'xtl="1e300"'),
        ("no_corner", b'xtl="1.0"', b""),
        ("z_order_text", b'z_order="0"', b'z_order="x"'),
        ("track", b"</annotations>", b'<track id="0" label="car"></track></annotations>'),
    ):
        yield of_bytes(f"xml_{name}", good.replace(before, after))


def of_submission(good: bytes) -> Iterator[Bad]:
    """Yield bad submissions in the AI Edge Contest's JSON."""
    yield from of_json(good)
    content = json.loads(good)
    image = next(name for name, categories in content.items() if categories)
    category = next(iter(content[image]))

    def with_rows(rows: str) -> bytes:
        others = {name: value for name, value in content.items() if name != image}
        return (json.dumps(others)[:-1] + f', "{image}": {{"{category}": {rows}}}}}').encode()

    for name, rows in {
        "empty_rows": "{}",
        "empty_row": '{"0": []}',
        "reversed": '{"0": [[5, 2]]}',
        "overlap": '{"0": [[1, 5], [3, 9]]}',
        "outside": '{"0": [[1, 95000]]}',
        "just_outside": '{"0": [[1, 96]]}',
        "below": '{"64": [[1, 2]]}',
        "negative": '{"0": [[-1, 5]]}',
        "negative_row": '{"-1": [[1, 5]]}',
        "leading_zero": '{"01": [[1, 5]]}',
        "unicode_digit": '{"\\u0665": [[1, 5]]}',
        "fraction": '{"0": [[1.0, 5]]}',
        "nan": '{"0": [[NaN, 5]]}',
        "infinite": '{"0": [[1, 1e999]]}',
        "true": '{"0": [[true, 5]]}',
        "long_number": f'{{"0": [[0, {LONG_NUMBER}]]}}',
        "long_row": f'{{"{LONG_NUMBER}": [[0, 1]]}}',
        "triple": '{"0": [[1, 2, 3]]}',
        "flat": '{"0": [1, 2]}',
        "deep": '{"0": ' + "[" * 5000 + "]" * 5000 + "}",
        "row_twice": '{"0": [[1, 2]], "0": [[4, 5]]}',
    }.items():
        yield of_bytes(f"submission_{name}", with_rows(rows))
    body = good.rstrip()[:-1]
    for name, key in {
        "image_twice": image,
        "no_jpg": "x",
        "escape": ESCAPE + ".jpg",
        "way_out": "../../x.jpg",
        "nul": "\0.jpg",
        "unknown_image": "nobody.jpg",
        "long_name": "x" * 100_000 + ".jpg",
    }.items():
        yield of_bytes(f"submission_{name}", body + f",{json.dumps(key)}:{{}}}}".encode())
    yield of_bytes("submission_surrogate", body + b',"\\ud800.jpg":{}}')
    yield of_bytes("submission_category", with_rows('{"0": [[1, 2]]}').replace(category.encode(), b"\\u001b[2J"))
    yield of_bytes("submission_form_feed", good + b"\x0c")
    yield of_bytes("submission_empty_mapping", b"{}")
