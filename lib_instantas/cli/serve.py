"""`serve`: the region editor and the engine as a page on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lib_instantas.cli.generate import EMBEDDED_MODEL
from lib_instantas.hosts.standalone import Generator
from lib_instantas.settings import SettingsError

PRESETS = Path.home() / ".instantas" / "presets"


def add_to(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("serve", help="open a page to try everything", description=__doc__)
    parser.add_argument("--port", type=int, default=7870, help="port on 127.0.0.1 (default 7870)")
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL, help="checkpoint or diffusers folder")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--presets", type=Path, default=PRESETS, help=f"folder of region presets (default {PRESETS})")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Load the model and serve the page until it is interrupted."""
    from lib_instantas.hosts.checkpoints import load_pipeline

    try:
        import uvicorn

        from lib_instantas.serve.server import make_app
    except ImportError as error:
        raise SettingsError(f"serve needs Gradio ({error}); pip install 'instantas[standalone]'") from None
    app = make_app(Generator(load_pipeline(options.model, options.device)), options.presets)
    print(f"InstantAS: http://127.0.0.1:{options.port}", file=sys.stderr)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")
