"""All texts that the user of a host's page reads, in English; `localizations/` holds them in other languages.

`panel` has the panel's labels and notes, `messages` the sentences with values in them. The texts of the browser stand
in its modules, each inside `text(...)`; the labels of settings, and what presets are for, with their declarations.
`catalogue` gathers all of them, and a test holds the files to it. A `Message` keeps its template and its values: the
engine, the API and the metadata have it in English, and a page says it in its own language (`hosts/a1111/language.py`).
"""
