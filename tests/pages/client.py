"""Stands in for `foldseg` and `python` in a page's project: asks `pages.shell` to run the command in a warm process.

Arguments: the folder of requests, the real Python, the name by which it was called, then the words of the command. It
runs without the packages of Python's environment and without pathlib, so that it starts in milliseconds.
"""

import json
import os
import sys
import time

requests, python, called, *words = sys.argv[1:]
program = ""
if "python" in os.path.basename(called):
    if words[:2] == ["-m", "foldseg"]:
        words = words[2:]
    elif words and words[0].endswith("/predict_ensemble.py"):
        program, *words = words
    else:
        os.execv(python, [python, *words])

folder = f"{requests}/command_{os.getpid()}"
os.mkdir(folder)
for name in ("stdin", "stdout", "stderr"):
    open(f"{folder}/{name}", "w").close()
with open(f"{folder}/command", "w") as line:
    line.write(" ".join(words))
request = {
    "argv": ["foldseg", *words],
    "program": program and os.path.abspath(program),
    "cwd": os.getcwd(),
    "env": dict(os.environ),
    "folder": folder,
    "limits": {},
    "disks": {},
}
with open(f"{requests}/line", "w") as line:
    line.write(json.dumps(request) + "\n")
while not os.path.exists(f"{folder}/status"):
    time.sleep(0.01)
for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
    with open(f"{folder}/{name}", errors="replace") as printed:
        stream.write(printed.read())
with open(f"{folder}/status") as ended:
    status = int(ended.read())
sys.exit(status if status >= 0 else 128 - status)
