#!/usr/bin/env python3
"""Look up settings: their names, values, defaults and meaning. Without a block, all blocks are listed."""

import argparse
import json

from foldseg import cli


def main() -> None:
    """Parse, look up, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("block", nargs="?", help="e.g. schedule")
    parser.add_argument("--page", type=cli.path, metavar="MD", help="write the reference page of all blocks instead")
    parser.add_argument("--schema", type=cli.path, metavar="JSON", help="write a JSON schema for editors instead")
    args = parser.parse_args()
    from foldseg.config import reference
    from foldseg.config.reference_text import block_text, blocks_text, page
    from foldseg.files import write_text
    from foldseg.outputs import check_output

    if args.page:
        write_text(args.page, page())
    if args.schema:
        check_output(args.schema, ".json")
        write_text(args.schema, json.dumps(reference.yaml_schema() | {"$comment": "made by foldseg"}, indent=1) + "\n")
    if not (args.page or args.schema):
        print(block_text(reference.block(args.block)) if args.block else blocks_text())


if __name__ == "__main__":
    cli.run(main)
