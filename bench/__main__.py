"""``python -m bench [NAME…] [-o table|json] [--quick]``: hoop beside what it is compared with.

``python -m bench ssh`` is of SSH targets, and has options of its own.

Starts its own PostgreSQL, provider, agent, relay and pgbouncer on free loopback ports, measures
every way in turn in each round, so that a busy moment hits all of them, and removes everything.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence

from bench.measures import MEASURES, NAMES, Bench, Measure
from bench.report import as_json, as_table, rows_of, spread
from bench.world import World
from hoopcore.protocols.postgres import stream


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["ssh"]:
        from bench import ssh

        return ssh.main(given[1:])
    chosen = _parser().parse_args(given)
    unknown = [name for name in chosen.names if name not in NAMES]
    if unknown:
        print(f"bench: no such measure: {unknown[0]}", file=sys.stderr)
        print(f"       They are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    measures = [one for one in MEASURES if not chosen.names or one.name in chosen.names]
    # Those with the same masks and rules together: others want the agent started anew.
    order = sorted(measures, key=lambda one: (one.masks != MEASURES[0].masks, one.rules))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _measure(measures, order, chosen)
    except KeyboardInterrupt:
        return 130


def _measure(measures: list[Measure], order: list[Measure], chosen: argparse.Namespace) -> int:
    _say("starting PostgreSQL, the provider, the agent, the relay and pgbouncer")
    _say("hoop is compiled" if _is_compiled() else "hoop is not compiled (HOOP_COMPILE)")
    rows, scale = (100_000, 1) if chosen.quick else (1_000_000, 10)
    taken: dict[str, dict[str, list[float]]] = {}
    with World(rows, scale) as world:
        for missing in {"pgbouncer", "ssh"} - world.ways.keys():
            _say(f"there is no {missing} here: its column stays empty")
        bench = Bench(world, chosen.quick)
        for measure in order:
            world.settings(measure.masks, measure.rules)
            rounds = measure.quick_rounds if chosen.quick else measure.rounds
            taken[measure.name] = _rounds(bench, measure, chosen.rounds or rounds)
    found = []
    spreads: dict[tuple[str, str], float | None] = {}
    for measure in measures:
        ways = taken[measure.name]
        found += rows_of(measure.name, measure.unit, ways, doors=len(measure.ways) > 1)
        spreads |= {(measure.name, way): spread(values) for way, values in ways.items()}
    print(as_json(found) if chosen.output == "json" else as_table(found, spreads))
    return 0


def _rounds(bench: Bench, measure: Measure, rounds: int) -> dict[str, list[float]]:
    """Every way once a round, beginning with another one each time."""
    ways = [bench.world.ways[name] for name in measure.ways if name in bench.world.ways]
    taken: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(rounds):
        shift = number % len(ways)
        said = []
        for way in ways[shift:] + ways[:shift]:
            taken[way.name].append(measure.run(bench, way))
            said.append(f"{way.name} {taken[way.name][-1]:.4g}")
        _say(f"{measure.name} {number + 1}/{rounds}  {'  '.join(sorted(said))} {measure.unit}")
    return taken


def _is_compiled() -> bool:
    return not str(stream.__file__).endswith(".py")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:.1f}  {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a measure; without one, all")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: five minutes")
    parser.add_argument("--rounds", type=int, default=0, help="in place of each measure's own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
