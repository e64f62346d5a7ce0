"""Command line: `python -m small_world render | train | ratios | close-ups | decoder | install`."""

import argparse
import logging
import os
from pathlib import Path

from PIL import Image

from small_world.renderer import render
from small_world.scene import parse


def main(arguments: list[str] | None = None) -> None:
    """Run one command."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    options.command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m small_world", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    draw = commands.add_parser("render", help="draw the scene of a caption, at any size")
    draw.add_argument("caption", help='such as "a harbour at sunset with a lighthouse"')
    draw.add_argument("--size", type=_size, default=(256, 256), metavar="WxH", help="in pixels (256x256)")
    draw.add_argument("--seed", type=int, default=0)
    draw.add_argument("-o", "--output", type=Path, default=Path("scene.png"))
    draw.set_defaults(command=_render)
    train = commands.add_parser("train", help="make the model from nothing; goes on where it was interrupted")
    train.add_argument("--minutes", type=float, default=150, help="of training, all stages together (150)")
    train.add_argument("--pictures", type=int, default=12000, help="drawn scenes to learn from (12000)")
    _add_training(train)
    train.set_defaults(command=_train)
    ratios = commands.add_parser("ratios", help="draw pictures of several ratios with captions, to train a ratio LoRA")
    ratios.add_argument("folder", type=Path)
    ratios.add_argument("--each", type=int, default=200, help="scenes of each of nine sizes (200)")
    ratios.set_defaults(command=_ratios)
    close_ups = commands.add_parser("close-ups", help="teach the shipped model squares of larger scenes, as a LoRA")
    close_ups.add_argument("--minutes", type=float, default=40, help="of training (40); drawing and encoding on top")
    close_ups.add_argument("--pictures", type=int, default=9000, help="drawn scenes, and as many squares (9000)")
    _add_training(close_ups)
    close_ups.set_defaults(command=_close_ups)
    decoder = commands.add_parser("decoder", help="train the shipped model's decoder on; what latents mean stays")
    decoder.add_argument("--minutes", type=float, default=120, help="of training (120); drawing on top")
    decoder.add_argument("--pictures", type=int, default=9000, help="drawn scenes, and as many squares (9000)")
    _add_training(decoder)
    decoder.set_defaults(command=_decoder)
    install = commands.add_parser("install", help="copy the shipped model to a WebUI")
    install.add_argument("webui", type=Path, help="the WebUI's folder")
    install.set_defaults(command=_install)
    return parser


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU if there is one")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (one per core)")


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must look like 1024x256, got {text}") from None
    return height, width


def _render(options: argparse.Namespace) -> None:
    scene = parse(options.caption, options.seed)
    Image.fromarray(render(scene, options.size).pixels).save(options.output)


def _train(options: argparse.Namespace) -> None:
    from small_world.train import default_device, train

    device = options.device or default_device()
    train(options.out, options.minutes, device, options.pictures, options.workers)


def _ratios(options: argparse.Namespace) -> None:
    from small_world.ratios import draw

    logging.getLogger(__name__).info("%d pictures in %s", draw(options.folder, options.each), options.folder)


def _close_ups(options: argparse.Namespace) -> None:
    from small_world.close_ups import train
    from small_world.train import default_device

    device = options.device or default_device()
    train(options.out, options.minutes, device, options.pictures, options.workers)


def _decoder(options: argparse.Namespace) -> None:
    from small_world.decoder import train
    from small_world.train import default_device

    device = options.device or default_device()
    train(options.out, options.minutes, device, options.pictures, options.workers)


def _install(options: argparse.Namespace) -> None:
    from small_world.install import install

    logging.getLogger(__name__).info("installed %s", install(options.webui))


if __name__ == "__main__":
    main()
