"""``python -m anywire.conformance.sim --seeds A-B``: run the worlds of these seeds."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from .worlds import World, WorldError


def main(arguments: list[str] | None = None) -> int:
    """Run worlds; 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m anywire.conformance.sim", description=__doc__)
    parser.add_argument("--seeds", default="0-999", metavar="A-B", help="which worlds; one number for one world")
    parser.add_argument("--transcript", action="store_true", help="print what was on the wire")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    options = parser.parse_args(arguments)
    first, _, last = options.seeds.partition("-")
    outcomes: Counter[str] = Counter()
    failures = 0
    start = time.perf_counter()
    seeds = range(int(first), int(last or first) + 1)
    for seed in seeds:
        world = World(seed)
        try:
            outcomes += world.run().outcomes
        except WorldError as error:
            failures += 1
            print(error, file=sys.stderr)
            if not options.keep_going:
                break
        finally:
            if options.transcript:
                print(*world.network.transcript, sep="\n")
    took = time.perf_counter() - start
    total = sum(outcomes.values())
    print(f"{len(seeds)} worlds, {total} exchanges, {failures} failures, {took:.1f} s, {total / took:.0f} exchanges/s")
    print(*(f"{count:8} {outcome}" for outcome, count in outcomes.most_common()), sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
