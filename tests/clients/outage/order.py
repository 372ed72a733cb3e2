"""Holds what a tap kept against what was sent: order.py SENT TAKEN

SENT has a line of line protocol for each metric, in order. Each has to be in TAKEN exactly as it was sent. A batch whose acknowledgement was lost
comes again, and those behind it may; but the first and the last time that each metric comes, they come in order. Prints what is wrong.
"""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    sent = file.read().splitlines()
with open(sys.argv[2], encoding="utf-8") as file:
    batches = [json.loads(line) for line in file]
number = {line: index for index, line in enumerate(sent)}
first, last, at, wrong = {}, {}, 0, []
for batch in batches:
    for line in batch.splitlines():
        index = number.get(line)
        if index is None:
            wrong.append(f"never sent: {line!r}")
            continue
        first.setdefault(index, at)
        last[index] = at
        at += 1
missing = [index for index in range(len(sent)) if index not in first]
if missing:
    wrong.append(f"{len(missing)} of {len(sent)} never came, the first is {sent[missing[0]]!r}")
for name, places in (("first", first), ("last", last)):
    order = [places[index] for index in sorted(places)]
    for before, after in zip(order, order[1:]):
        if after < before:
            wrong.append(f"out of order the {name} time: place {after} behind place {before}")
            break
print(f"{len(sent)} metrics in {len(batches)} batches, {at - len(first)} came again", file=sys.stderr)
print("; ".join(wrong[:5]))
