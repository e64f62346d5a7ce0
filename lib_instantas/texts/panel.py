"""The panel's own texts: what its groups are called, when to touch them, and what its buttons say.

The labels and the help of settings are declared with them, and what a preset is for with it.
"""

from __future__ import annotations

TITLES = {
    "size": "Exact size",
    "compose": "Compose first: strength and LoRAs",
    "tiles": "Tiles and how they move",
    "style": "Style alignment",
    "vae": "VAE and memory",
    "presets": "Presets of your own",
}
"""Of the panel's groups."""

NOTES = {
    "size": "Only for sizes that the page's own Width and Height cannot be set to, such as 1209x523 or 8192x1024. Both "
    "at 0: the page's.",
    "upscale": "The picture that you give is enlarged first. A denoising strength of 0.2 to 0.4 keeps what it shows.",
    "upscale_afterwards": "The finished picture is enlarged, and tiles add detail at a denoising strength of 0.3. At 1 "
    "it stays as it is.",
    "compose": "These act while Compose first is ticked. A higher strength lets the tiles change more of the small "
    "picture.",
    "tiles": "Leave these unless you compare methods, see a seam, or run out of memory. What does nothing beside the "
    "other settings cannot be changed.",
    "style": "Where parts of a wide picture differ in colour though the prompt says nothing of it: try 0.4.",
    "vae": "Automatic does it. Take a smaller tile where decoding runs out of memory, fast where time matters.",
    "defaults": "What the panel begins with. It shows what you change here after Reload UI; requests to the API that "
    "leave a setting out follow at once.",
}
"""When to touch the settings of a group."""

HINTS = {
    "edit_regions": "Draw parts of the picture that have prompts of their own, in the InstantAS tab.",
    "clear_regions": "Take all regions out of this panel. What is drawn in the InstantAS tab stays there.",
    "compare": "Make this picture twice with the same seed, with InstantAS and without, and lay both under a slider.",
}
"""What the buttons do, for whoever rests on them."""

WORDS = {
    "preset": "Preset",
    "own_preset": "A preset of your own.",
    "differs": "Differs from the preset in:",
    "rename_preset": "Rename the chosen one",
    "export_presets": "Export all of your own",
    "import_presets": "Import from a file",
    "edit_regions": "Edit regions",
    "clear_regions": "Clear regions",
    "compare": "With and without",
    "beside": "Compare with",
    "comparison": "InstantAS: with and without",
    "without": "Without InstantAS",
    "style_picture": "Style picture",
    "given": "Size of the given picture",
}
