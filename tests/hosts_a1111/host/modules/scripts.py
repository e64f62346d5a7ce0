"""Scripts and their runner. An exception in a script is reported, and the host goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from modules import errors

AlwaysVisible = object()
scripts_data: list[SimpleNamespace] = []


class Script:
    alwayson = True
    is_img2img = False
    tabname = "txt2img"
    args_from = args_to = 0
    infotext_fields: Any = None
    paste_field_names: Any = None

    def elem_id(self, item_id: str) -> str:
        return f"script_{self.tabname}_instantas_{item_id}"


class ScriptRunner:
    def __init__(self, script: Script) -> None:
        self.alwayson_scripts = [script]

    def post_sample(self, p: Any, answered: Any) -> None:
        self.call("post_sample", p, answered)

    def call(self, name: str, p: Any, *objects: Any) -> None:
        for script in self.alwayson_scripts:
            try:
                getattr(script, name)(p, *objects, *p.script_args[script.args_from : script.args_to])
            except Exception as error:
                errors.report(f"Error running {name}: {error}")
