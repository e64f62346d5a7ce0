"""Run by torchrun: every process makes the same pictures, the first of them keeps them as FOLDER/NAME.png."""

from __future__ import annotations

import sys
from pathlib import Path

from process_cases import CASES, job

from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.standalone import Generator
from lib_instantas.processes import started_by_torchrun

if __name__ == "__main__":
    model, folder = map(Path, sys.argv[1:])
    with started_by_torchrun("cpu") as (processes, device):
        assert not processes.alone
        calls = []
        generator = Generator(load_pipeline(model, device), processes=processes)
        generator.pipeline.unet.conv_in.register_forward_pre_hook(lambda *_: calls.append(1))
        for name, settings in CASES.items():
            calls.clear()
            result = generator(job(**settings))
            counts = processes.tell_all(len(calls))
            if processes.leads:
                result.image.save(folder / f"{name}.png")
                (folder / f"{name}.txt").write_text(" ".join(map(str, counts)))
