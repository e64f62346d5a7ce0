"""The server behind the standalone page."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware

from lib_instantas.editor.presets import PresetStore
from lib_instantas.editor.service import EditorService, TokenCount
from lib_instantas.hosts.standalone import Generator
from lib_instantas.serve.generation import StoppableGenerator
from lib_instantas.serve.guard import LoopbackOnly
from lib_instantas.serve.head import add_files, completed
from lib_instantas.serve.standalone_page import StandalonePage

CHUNK = 75
"""Tokens of a prompt that a text encoder takes at once, without those that begin and end it."""


def make_app(generator: Generator, presets: Path) -> FastAPI:
    """The page as a web application; presets are kept in the folder `presets`."""
    service = EditorService(
        PresetStore(presets),
        native_side=lambda: generator.native,
        count_tokens=lambda text: count_tokens(generator, text),
    )
    page = StandalonePage(StoppableGenerator(generator), service)
    app = FastAPI()
    app.add_middleware(BaseHTTPMiddleware, dispatch=completed)
    app.add_middleware(LoopbackOnly)
    add_files(app)
    return gr.mount_gradio_app(app, page.blocks, path="/")


def count_tokens(generator: Generator, text: str) -> TokenCount:
    """Tokens of a prompt without begin and end, and how many its blocks of 75 hold."""
    count = len(generator.pipeline.tokenizer(text, truncation=False, add_special_tokens=False).input_ids)
    return TokenCount(count, max(1, -(-count // CHUNK)) * CHUNK)
