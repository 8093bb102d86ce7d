"""Where the program starts: `trellis`, and `python -m trellis_cli`."""

import sys


def run() -> None:
    """Load the command line and hand over. Ctrl-C while it loads ends in the same two lines as any later one."""
    try:
        from trellis_cli.main import run as main
    except KeyboardInterrupt:
        from trellis_cli import console

        console.error("stopped by the user", "nothing was begun; run the same command again")
        sys.exit(130)
    main()


if __name__ == "__main__":
    run()
