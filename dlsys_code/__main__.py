"""The commands of the book::

python -m dlsys_code train             train the small GPT, on one rank or more
python -m dlsys_code doctor            what this machine can do for the book
python -m dlsys_code bench COLLECTIVE  race our collectives against torch's
python -m dlsys_code link              measure alpha and beta between two ranks
python -m dlsys_code clocks            time BSP, SSP and ASP with a slow worker
"""

import argparse
import sys

from dlsys_code.book import clocking, doctor, linking, race, training


def main() -> int:
    """Run the command that the arguments name; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dlsys_code")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser(
        "train", help="train the small GPT, on one rank or more"
    )
    training.add_arguments(train)
    train.set_defaults(run=lambda args: training.main(train, args))
    look = commands.add_parser("doctor", help="what this machine can do for the book")
    look.set_defaults(run=lambda args: doctor.main())
    bench = commands.add_parser("bench", help="race our collectives against torch's")
    race.add_arguments(bench)
    bench.set_defaults(run=lambda args: race.main(bench, args))
    link = commands.add_parser("link", help="measure alpha and beta between two ranks")
    linking.add_arguments(link)
    link.set_defaults(run=lambda args: linking.main(link, args))
    clocks = commands.add_parser(
        "clocks", help="time BSP, SSP and ASP with a slow worker"
    )
    clocking.add_arguments(clocks)
    clocks.set_defaults(run=lambda args: clocking.main(clocks, args))
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
