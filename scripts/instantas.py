"""Entry point of the WebUI: loads the extension while its folder is on the path, and registers it."""

from lib_instantas.hosts.a1111.comparing import ComparisonScript
from lib_instantas.hosts.a1111.registration import register
from lib_instantas.hosts.a1111.script import InstantASScript

__all__ = ["ComparisonScript", "InstantASScript"]

register()
