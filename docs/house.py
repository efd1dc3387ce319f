"""The picture of the house: the rooms of rfa and their imports, drawn anew for every build.

Rooms and words are listed below. The arrows come from the imports that tests/layers.py finds in the
sources, so they cannot go stale. A module that belongs to no room fails the build, and so do rooms
that import each other.
"""

import sys
from collections import defaultdict
from functools import cache
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import layers

# Name of a room: what is in it, and its modules, each with all that is inside it. The order decides
# where nothing else does: from top to bottom, from left to right.
ROOMS = {
    "cli": ("the commands", ["rfa.cli", "rfa.__main__"]),
    "report": ("summaries of runs", ["rfa.report"]),
    "plot": ("figures", ["rfa.plot"]),
    "baselines": ("linear, linearised", ["rfa.baselines"]),
    "studies": ("many runs", ["rfa.studies"]),
    "experiment": ("records, presets", ["rfa.experiment", "rfa.presets"]),
    "theory": ("statements", ["rfa.theory"]),
    "training": ("train, Run, History", ["rfa.training"]),
    "estimates": ("risk, complexity", ["rfa.estimates"]),
    "engines": ("how steps are taken", ["rfa.engines"]),
    "network": ("W and a", ["rfa.network"]),
    "reference": ("equations in NumPy", ["rfa.reference"]),
    "data": ("laws, noise, data", ["rfa.data"]),
    "kernels": ("hot loops, threads", ["rfa.kernels", "rfa._kernels", "rfa._runtime"]),
    "losses": ("a loss is a row", ["rfa.losses"]),
    "setting": ("T, widths, groups", ["rfa.setting"]),
    "ground": (
        "input, seeds, files",
        ["rfa._validate", "rfa._seeds", "rfa._files", "rfa._tables", "rfa._forks", "rfa._lazy"],
    ),
}

# Sizes of the picture: wide enough for three boxes, so that a phone shows its words.
BOX, HEIGHT, PASSAGE, GAP, FLOOR = 146, 46, 10, 14, 82
SWEEPS = 60

STYLE = """
.house { display: block; width: 100%; max-width: 27em; margin: 1em auto; }
.house rect { fill: #f4f1ea; stroke: #6b6357; stroke-width: 1.2; }
.house text { text-anchor: middle; font-family: sans-serif; fill: #222; }
.house .name { font-size: 15.5px; font-weight: bold; }
.house .words { font-size: 13.5px; }
.house path.arrow { fill: none; stroke: #6b6357; stroke-width: 1.4; }
.house marker path { fill: #6b6357; }
"""


def room_of(module):
    """The room that a module belongs to."""
    for room, (_, members) in ROOMS.items():
        if any(f"{module}.".startswith(f"{member}.") for member in members):
            return room
    raise ValueError(f"{module} belongs to no room of docs/house.py")


def graph():
    """For each room the rooms that its modules import."""
    below = {room: set() for room in ROOMS}
    for module, other in layers.imports():
        if room_of(module) != room_of(other):
            below[room_of(module)].add(room_of(other))
    TopologicalSorter(below).prepare()  # an error that names the rooms, if they go in a circle
    return below


def arrows(below):
    """The imports between rooms that do not follow from others: pairs, the upper room first."""

    @cache
    def reached(room):
        return below[room].union(*map(reached, below[room]))

    return [
        (room, other)
        for room in below
        for other in sorted(below[room], key=list(ROOMS).index)
        if not any(other in reached(between) for between in below[room] - {other})
    ]


def floors(drawn):
    """The floor of each room: 0 at the top, each other one below all that import it."""

    @cache
    def floor(room):
        return 1 + max((floor(upper) for upper, lower in drawn if lower == room), default=-1)

    return {room: floor(room) for room in ROOMS}


def placed(drawn, floor):
    """Where things stand: the rooms of each floor and the arrows that pass it, by their middle.

    An arrow that passes a floor has a narrow place of its own there, so that it meets no box.
    Things stand as near to their neighbours on other floors as those of their own floor let them.
    """
    things = [[room for room in ROOMS if floor[room] == f] for f in range(max(floor.values()) + 1)]
    ways, beside = {}, defaultdict(list)
    for upper, lower in drawn:
        passed = [(upper, lower, f) for f in range(floor[upper] + 1, floor[lower])]
        for place in passed:
            things[place[2]].append(place)
        ways[upper, lower] = way = [upper, *passed, lower]
        for one, other in pairwise(way):
            beside[one].append(other)
            beside[other].append(one)
    half = {
        place: (BOX if isinstance(place, str) else PASSAGE) / 2 for row in things for place in row
    }
    x = {}
    for row in things:
        for i, place in enumerate(row):
            x[place] = (i - (len(row) - 1) / 2) * BOX
    for sweep in range(SWEEPS):
        for row in things if sweep % 2 else reversed(things):
            wish = {
                place: sum(x[other] for other in beside[place]) / len(beside[place])
                for place in row
            }
            row.sort(key=wish.get)
            spread(row, wish, half, x)
    return ways, x


def spread(row, wish, half, x):
    """Put a floor's things where they wish to be, moved apart where they would touch.

    Things that touch form a block, which stands where its members wish to be on average.
    """
    blocks = []
    for place in row:
        block = ([place], [0.0])
        while True:
            members, offsets = block
            pairs = list(zip(members, offsets, strict=True))
            start = sum(wish[member] - offset for member, offset in pairs) / len(pairs)
            if not blocks:
                break
            before, before_offsets, before_start = blocks[-1]
            room = half[before[-1]] + GAP + half[members[0]]
            if before_start + before_offsets[-1] + room <= start:
                break
            shift = before_offsets[-1] + room
            block = (before + members, before_offsets + [shift + offset for offset in offsets])
            blocks.pop()
        blocks.append((*block, start))
    for members, offsets, start in blocks:
        x.update({member: start + offset for member, offset in zip(members, offsets, strict=True)})


def picture():
    """The picture as SVG."""
    below = graph()
    drawn = arrows(below)
    floor = floors(drawn)
    ways, x = placed(drawn, floor)
    left = min(x[room] for room in ROOMS) - BOX / 2 - 2
    right = max(x[room] for room in ROOMS) + BOX / 2 + 2
    bottom = max(floor.values()) * FLOOR + HEIGHT + 4
    parts = [
        f'<svg class="house" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="{left:.0f} -2 {right - left:.0f} {bottom}" '
        f'aria-label="The rooms of rfa and their imports">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
    ]
    for way in ways.values():
        parts.append(f'<path class="arrow" d="{line(way, x, floor)}" marker-end="url(#tip)"/>')
    for room, (words, members) in ROOMS.items():
        top = floor[room] * FLOOR
        below_it = ", ".join(sorted(below[room])) or "nothing of rfa"
        parts += [
            f"<g><title>{escape(', '.join(members))}: imports {escape(below_it)}</title>",
            f'<rect x="{x[room] - BOX / 2:.1f}" y="{top}" width="{BOX}" height="{HEIGHT}" rx="5"/>',
            f'<text class="name" x="{x[room]:.1f}" y="{top + 20}">{escape(room)}</text>',
            f'<text class="words" x="{x[room]:.1f}" y="{top + 38}">{escape(words)}</text></g>',
        ]
    return "\n".join([*parts, "</svg>"])


def line(way, x, floor):
    """The line of an arrow: curves from floor to floor, straight down past the boxes of one."""
    y = floor[way[0]] * FLOOR + HEIGHT
    text = f"M{x[way[0]]:.1f} {y}"
    for one, place in pairwise(way):
        last = isinstance(place, str)
        top = (floor[place] if last else place[2]) * FLOOR
        middle = (y + top) / 2
        text += f" C{x[one]:.1f} {middle} {x[place]:.1f} {middle} {x[place]:.1f} {top}"
        y = top
        if not last:
            y += HEIGHT
            text += f" V{y}"
    return text
