"""The region editor's server side: tile plans as JSON, presets, token counts, and the Gradio tab around them."""
