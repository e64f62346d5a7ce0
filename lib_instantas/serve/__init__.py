"""The standalone page: `python -m lib_instantas serve`. The editor and the engine in a browser, without a WebUI."""
