"""What every script here understands on its command line."""

import argparse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`quick`: a tenth of the repeats, to see that a script works. `million`: the history's large case too."""

    quick: bool
    million: bool

    def few(self, count: int) -> int:
        """So many repeats, or a tenth of them when it shall be quick."""
        return max(2, count // 10) if self.quick else count


def options(description: str | None) -> Options:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats: to try a script, not to measure")
    parser.add_argument("--million", action="store_true", help="measure the history at a million runs too (some minutes)")
    chosen = parser.parse_args()
    return Options(chosen.quick, chosen.million)
