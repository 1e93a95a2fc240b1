"""Try cases again: `python -m benchmarks.fuzz_readers plausible NUMBER...`, or `hostile NUMBER...`.

`plausible FIRST-LAST` tries a range and prints the table by kind and every silent case.
"""

from __future__ import annotations

import sys

from benchmarks.fuzz_readers import hostile, plausible


def main() -> None:
    match sys.argv[1:]:
        case ["plausible", numbers] if "-" in numbers:
            first, last = map(int, numbers.split("-"))
            plausible.show(plausible.sweep(range(first, last + 1)))
        case ["plausible", *numbers] if numbers:
            for number in map(int, numbers):
                plausible.replay(number)
        case ["hostile", *numbers] if numbers:
            print("\n".join(hostile.sweep(map(int, numbers))) or "nothing to complain of")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
