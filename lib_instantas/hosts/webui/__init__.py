"""The engine inside the AUTOMATIC1111 WebUI. The only package that imports the WebUI's `modules`."""
