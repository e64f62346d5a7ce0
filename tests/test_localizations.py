"""The texts of a host's page in other languages: all of them, with the same values in them, and nothing else."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path
from string import Formatter

import pytest

from lib_instantas.browser import FOLDER as BROWSER
from lib_instantas.texts import messages
from lib_instantas.texts.catalogue import HOSTS_OWN, SCRIPTS, all_texts, said_in
from lib_instantas.texts.message import OWN, Template

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "localizations"
LANGUAGES = ("de_DE", "ja_JP", "zh_CN")
"""Names of the hosts' language packs: a host merges the files of one name from all extensions."""

SOURCES = [path for path in sorted((ROOT / "lib_instantas").rglob("*.py")) if path.parent.name != "texts"]
IN_THE_BROWSER = [*sorted(SCRIPTS.glob("*.js")), *sorted(BROWSER.glob("*.mjs"))]

UNTRANSLATED = re.compile(
    r'(?:\b(?:label|title|text|placeholder|alt|textContent|loadingLabel)|"aria-label"): ["`][A-Za-z]'
    r'|\.(?:textContent|title|placeholder) = ["`][A-Za-z]'
    r'|\b(?:say|replaceChildren|new Error|append)\(["`][A-Za-z]'
    r'|"aria-(?:label|valuetext)", ["`][A-Za-z]'
    r'|\belement\("\w+", \{[^{}]*\}, ["`][A-Za-z]'
)
"""A string that a user sees, written where it is shown instead of within `text(...)`."""


def key_in(name: str) -> str:
    """A text as it is said, whichever word it stands under in the files."""
    word = name.removeprefix(OWN.format(""))
    return word if word in HOSTS_OWN or re.fullmatch(r"[\w?]+", word) else name


def fields(text: str) -> Counter[tuple[str, str]]:
    return Counter((field, spec or "") for _, field, spec, _ in Formatter().parse(text) if field is not None)


@pytest.fixture(params=LANGUAGES)
def translated(request: pytest.FixtureRequest) -> dict[str, str]:
    return json.loads((FOLDER / f"{request.param}.json").read_text("utf-8"))


def test_there_are_no_other_files() -> None:
    assert sorted(file.name for file in FOLDER.iterdir()) == [f"{name}.json" for name in LANGUAGES]


def test_every_text_is_translated_and_none_is_left_over(translated: dict[str, str]) -> None:
    assert list(translated) == all_texts()
    assert not HOSTS_OWN & translated.keys()


def test_every_translation_says_something_of_its_own(translated: dict[str, str]) -> None:
    assert all(text.strip() for text in translated.values())
    wordless = re.compile(r"(?:InstantAS|\{[^}]*\}|\W)*")
    assert not [text for text, other in translated.items() if text == other and not wordless.fullmatch(text)]


def test_every_translation_has_the_same_values_in_it(translated: dict[str, str]) -> None:
    assert [text for text, other in translated.items() if fields(text) != fields(other)] == []


def test_no_key_is_a_word_that_other_parts_of_a_page_use(translated: dict[str, str]) -> None:
    """The host puts a translation in the place of every text of the page that equals its key."""
    ours = ("Brush", "Canvas", "Color", "Mask", "Play", "Prompt", "Redo", "Strength", "Undo", "Weight", "empty", "none")
    assert not {*ours, *HOSTS_OWN} & translated.keys()
    assert {OWN.format(word) for word in ours} <= translated.keys()


def test_names_of_choices_and_numbers_are_not_translated(translated: dict[str, str]) -> None:
    kept = (
        r"ScaleCrafter|SpotDiffusion|TwinDiffusion|Latent Swap|SaFa|Merge-Attend-Diffuse|DemoFusion|SyncDiffusion|"
        r"ElasticDiffusion|InstantAS|MultiDiffusion|FSTD|UNet|SDXL|LoRA|clamp|sway|Tiled Diffusion|Tiled VAE|"
        r"HyperTile Integrated|Regional Prompter|SD Unet|JSON|PNG|base64|Approx NN|Approx cheap"
    )
    for text, other in translated.items():
        assert set(re.findall(kept, key_in(text))) == set(re.findall(kept, other, re.ASCII)), text


def test_every_message_is_given_its_values_and_none_is_unused() -> None:
    """A wrong name would be found out only when the message is needed."""
    used: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
            used |= {name} if name else set()
            if isinstance(node, ast.Call) and (called := _template(node.func)) is not None:
                given = {keyword.arg for keyword in node.keywords}
                assert given == {field for field, _ in fields(called)}, (path.name, node.lineno, called)
    templates = {name for name, value in vars(messages).items() if isinstance(value, Template)}
    assert templates <= used


def _template(called: ast.expr) -> Template | None:
    is_of_messages = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name)
    if not is_of_messages or called.value.id != "messages":
        return None
    found = getattr(messages, called.attr)
    return found if isinstance(found, Template) else None


@pytest.mark.parametrize("path", IN_THE_BROWSER, ids=lambda path: path.name)
def test_what_the_browser_shows_comes_from_the_list(path: Path) -> None:
    source = path.read_text("utf-8")
    assert UNTRANSLATED.findall(source) == []
    for text in said_in(source):
        call = source[source.index(json.dumps(text, ensure_ascii=False)) + len(text) :][:200]
        assert all(re.search(rf"\b{field}\b", call) for field, _ in fields(text)), text


@pytest.mark.parametrize(
    "shown",
    ['button({label: "Undo"})', 'this.say("No.")', 'element("span", {}, "Canvas")', "x.textContent = `Step ${n}`"],
)
def test_a_text_that_is_not_from_the_list_is_found(shown: str) -> None:
    assert UNTRANSLATED.search(shown)
