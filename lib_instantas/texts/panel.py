"""The panel's own texts: what its groups are called, when to touch them, and what its buttons say.

The labels and the help of settings are declared with them, and what a preset is for with it.
"""

from __future__ import annotations

TITLES = {
    "size": "Exact size",
    "compose": "Compose first",
    "tiles": "Tiles and how they move",
    "style": "Style alignment",
    "vae": "VAE in tiles",
    "presets": "Presets of your own",
}
"""Of the panel's groups."""

NOTES = {
    "size": "Only for sizes that the page's own Width and Height cannot be set to, such as 1209x523 or 8192x1024. Both "
    "at 0: the page's.",
    "upscale": "The picture that you give is enlarged first. A denoising strength of 0.2 to 0.4 keeps what it shows.",
    "compose": "For Compose first. A higher strength lets the tiles change more of the small picture.",
    "tiles": "Leave these unless you compare methods, see a seam, or run out of memory. What the method does not use "
    "cannot be changed.",
    "style": "Where parts of a wide picture differ in colour though the prompt says nothing of it: try 0.4.",
    "vae": "Automatic does it. Take a smaller tile where decoding runs out of memory, fast where time matters.",
}
"""When to touch the settings of a group."""

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
}
