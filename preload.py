"""Command-line flags, read by the WebUI before anything else of the extension."""

from __future__ import annotations

from argparse import ArgumentParser

LARGEST_SIDE = 32768


def preload(parser: ArgumentParser) -> None:
    """Add the extension's flags to the WebUI's."""
    parser.add_argument(
        "--instantas-max-side",
        type=int,
        default=LARGEST_SIDE,
        metavar="PIXELS",
        help="InstantAS: longest side in pixels that a picture's own width and height may ask for",
    )
