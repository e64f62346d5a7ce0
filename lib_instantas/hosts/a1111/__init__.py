"""Hosts of AUTOMATIC1111's kind: the WebUI itself and the Forge family. Only this package imports their `modules`."""
