"""`python -m mlrsnet_hf COMMAND`, and so `accelerate launch -m mlrsnet_hf COMMAND`: the command `mlrsnet`."""

import sys

from mlrsnet_hf.runtime.logs import exit_on_error


def main() -> None:
    """Run the command line, with an ear for signals before all that it brings is imported."""
    with exit_on_error(sys.argv[1] if sys.argv[1:] else None):
        from mlrsnet_hf import cli

        cli.main()


if __name__ == "__main__":
    main()
