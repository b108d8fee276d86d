"""``python -m anywire.conformance.sim --seeds A-B``: run the worlds of these seeds."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from ._tally import Tally, outcome, run
from .worlds import World


def main(arguments: list[str] | None = None, clock: Callable[[], float] = time.perf_counter) -> int:
    """Run worlds; 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m anywire.conformance.sim", description=__doc__)
    parser.add_argument("--seeds", default="0-999", metavar="A-B", help="which worlds; one number for one world")
    parser.add_argument("--transcript", action="store_true", help="print what was on the wire")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="in so many processes")
    options = parser.parse_args(arguments)
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    tally = Tally(len(seeds), clock)
    if options.transcript:
        for seed in seeds:
            world = World(seed)
            tally.add(*outcome(world))
            print(*world.network.transcript, sep="\n")
    else:
        for result, text, kinds in run(seeds, options.jobs):
            tally.add(result, text, kinds)
            if text and not options.keep_going:
                break
    print(tally)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
