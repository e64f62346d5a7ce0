"""What a generation did, kept in its metadata: the one value under "InstantAS" in the infotext."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lib_instantas.agreement import without_effect
from lib_instantas.infotext import KEY, to_text
from lib_instantas.methods import Dilation
from lib_instantas.settings import Settings
from lib_instantas.summary import most_common_size, reaching, regions_done, tiles_done, why_off
from lib_instantas.tiling import TilePlan

INVERSION, FIRST_PASS, HIRES_PASS, UPSCALING = "noise inversion", "first pass", "hires pass", "upscaling"


@dataclass
class PassReport:
    """The work of one sampling run: its first grid, the tiles evaluated so far, the share each plan left out.

    `undamped` says why ScaleCrafter's outer levels stayed as trained, where they did; `fidelity` how strongly the run
    was held to the picture that it began with.
    """

    plan: TilePlan
    method: str
    dilation: Dilation | None = None
    undamped: str = ""
    fidelity: float = 0.0
    evaluations: int = 0
    uncovered: list[float] = field(default_factory=list)

    def count(self, plan: TilePlan) -> None:
        """One more evaluation of the sampler."""
        self.evaluations += len(plan.tiles)
        self.uncovered.append(plan.uncovered)

    @property
    def is_idle(self) -> bool:
        """Whether the model was asked as it is without the extension."""
        return self.plan.is_whole_canvas and self.dilation is None and not self.fidelity

    def __str__(self) -> str:
        if self.method != "direct" and self.is_idle:
            return why_off(self.method)
        uncovered = sum(self.uncovered) / max(1, len(self.uncovered))
        size = most_common_size(self.plan)
        done = tiles_done(len(self.plan.tiles), size, self.evaluations, uncovered)
        return self._with_notes(str(done), self._reach)

    def _with_notes(self, *done: str) -> str:
        held = f"fidelity {self.fidelity:g}" if self.fidelity else ""
        return ", ".join(part for part in (*done, held) if part)

    @property
    def _reach(self) -> str:
        if self.dilation is None:
            return ""
        reach = reaching(self.dilation.factor, self.dilation.until, bool(self.dilation.damped) and not self.undamped)
        return f"{reach}, outer levels as trained because {self.undamped}" if self.undamped else reach


@dataclass
class Enlarging:
    """What became of one finished picture that was to be enlarged: the passes it took, or why it stayed as it was."""

    passes: dict[str, PassReport] = field(default_factory=dict)
    remark: str = ""


@dataclass
class Report:
    """What the metadata say of a generation. `parameters` are the host's own entries that the generation sets.

    `remark` is what is known of a setting before the generation begins. `notes` are on the picture that is being made,
    `lasting` on what was done once for all pictures. `enlarged` is what became of finished pictures, by their index in
    the generation, and `picture` the index of the one that is written of.
    """

    settings: Settings
    passes: dict[str, PassReport] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    lasting: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    remark: str = ""
    enlarged: dict[int, Enlarging] = field(default_factory=dict)
    picture: int = 0

    def begin_anew(self) -> None:
        """The host prepares a generation; nothing of one before it counts."""
        for known in (self.passes, self.notes, self.lasting, self.enlarged):
            known.clear()

    def note(self, name: str, text: str) -> None:
        """Say of something besides the tiles what it did; what it did before the first pass, all pictures share."""
        (self.notes if self.passes else self.lasting)[name] = text

    def begin(self, name: str, work: PassReport) -> None:
        """A sampling run begins; an inversion begins a new picture, and so does a first pass without one."""
        if name == INVERSION or (name == FIRST_PASS and list(self.passes) != [INVERSION]):
            self.passes.clear()
            self.notes.clear()
        self.passes[name] = work

    def write(self, p: Any) -> None:
        """Put what is known now into the metadata of `p`.

        As text, since WebUI 1.8 takes nothing else, and again whenever the host is about to write a picture: a job
        within the job, as a face detailer's, may share the metadata and say its own there.
        """
        p.extra_generation_params.update(self.parameters)
        p.extra_generation_params[KEY] = to_text(self.settings, self.done)

    @property
    def done(self) -> str:
        """In words what was done, or why nothing was."""
        notes = [f"{name} {text}" for name, text in (self.lasting | self.notes).items()]
        remarks = [*without_effect(self.settings), *filter(None, (self.remark, self._enlarging.remark))]
        return ", ".join([self._tiles_done, *regions_done(self.settings.region_setup), *notes, *remarks])

    @property
    def is_enlarged(self) -> bool:
        """Whether the finished picture was enlarged."""
        return bool(self._enlarging.passes)

    @property
    def in_tiles(self) -> bool:
        """Whether any pass was made otherwise than the host makes it alone."""
        passes = self.passes | self._enlarging.passes
        return any(name not in (FIRST_PASS, HIRES_PASS) or not work.is_idle for name, work in passes.items())

    @property
    def _enlarging(self) -> Enlarging:
        return self.enlarged.get(self.picture, Enlarging())

    @property
    def _tiles_done(self) -> str:
        passes = self.passes | self._enlarging.passes
        if len(passes) == 1 and FIRST_PASS in passes:
            return str(passes[FIRST_PASS])
        return "; ".join(f"{name}: {work}" for name, work in passes.items()) or "nothing sampled yet"


def erase(p: Any) -> bool:
    """Make sure that the metadata of `p` say nothing of this extension; whether they did."""
    return p.extra_generation_params.pop(KEY, None) is not None
