"""The methods a user can choose from. A method is a way to make tile plans.

A new one is a class with a `plan`, and a factory that is registered under its name:

    @register("mine")
    def mine(request: Request) -> Method: ...
"""

from lib_instantas.methods.direct import Direct
from lib_instantas.methods.registry import METHODS, NAMES, NEEDS, Method, Request, check_method, make_method, register

# Registration happens on import, in the order in which the methods are offered.
from lib_instantas.methods.instantas import instantas  # isort: skip
from lib_instantas.methods.overlapping import OverlappingGrid  # isort: skip
from lib_instantas.methods.fstd import DisplacedGrid  # isort: skip
from lib_instantas.methods.scalecrafter import Dilation, Redilated  # isort: skip
from lib_instantas.methods.comparison import ContextGrid  # isort: skip

register("direct")(lambda request: Direct(request.canvas))

__all__ = [
    "METHODS",
    "NAMES",
    "NEEDS",
    "ContextGrid",
    "Dilation",
    "Direct",
    "DisplacedGrid",
    "Method",
    "OverlappingGrid",
    "Redilated",
    "Request",
    "check_method",
    "instantas",
    "make_method",
    "register",
]
