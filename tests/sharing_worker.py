"""Run by torchrun: every process makes the same pictures, the first of them keeps them as FOLDER/NAME.png."""

from __future__ import annotations

import sys
from pathlib import Path

from sharing_cases import CASES, job

from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.standalone import Generator
from lib_instantas.sharing import shared_by_torchrun

if __name__ == "__main__":
    model, folder = map(Path, sys.argv[1:])
    with shared_by_torchrun("cpu") as (sharing, device):
        assert not sharing.alone
        calls = []
        generator = Generator(load_pipeline(model, device), sharing=sharing)
        generator.pipeline.unet.conv_in.register_forward_pre_hook(lambda *_: calls.append(1))
        for name, settings in CASES.items():
            calls.clear()
            result = generator(job(**settings))
            counts = sharing.tell_all(len(calls))
            if sharing.leads:
                result.image.save(folder / f"{name}.png")
                (folder / f"{name}.txt").write_text(" ".join(map(str, counts)))
