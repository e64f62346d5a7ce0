"""The methods a user can choose from. A method is a way to make tile plans.

A new one is a class with a `plan`, and a factory that is registered under its name:

    @register("mine")
    def mine(request: Request) -> Method: ...
"""

from lib_instantas.methods.direct import Direct
from lib_instantas.methods.options import NAMES, MethodOptions
from lib_instantas.methods.registry import (
    METHODS,
    Declaration,
    Method,
    Recurring,
    Request,
    make_method,
    plans_depend_on_seed,
    register,
)

# Registration happens on import, in the order in which the methods are offered.
from lib_instantas.methods.instantas import instantas, whole_canvas  # isort: skip
from lib_instantas.methods.overlapping import OverlappingGrid  # isort: skip
from lib_instantas.methods.fstd import DisplacedGrid  # isort: skip
from lib_instantas.methods.spotdiffusion import RolledGrid  # isort: skip
from lib_instantas.methods.twindiffusion import TwinGrid  # isort: skip
from lib_instantas.methods.safa import InterleavedGrid  # isort: skip
from lib_instantas.methods.merging import MergedGrid  # isort: skip
from lib_instantas.methods.demofusion import ShakenGrid, phases  # isort: skip
from lib_instantas.methods.scalecrafter import Dilation, Redilated, same_factor  # isort: skip
from lib_instantas.methods.scalecrafter_tables import Level  # isort: skip
from lib_instantas.methods.comparison import ContextGrid  # isort: skip
from lib_instantas.methods.options import Wrap  # isort: skip

register(
    "direct",
    reads=(Wrap,),
    without=["compose"],
    seeded=lambda settings: False,
    about="the whole picture at once.",
)(whole_canvas)

__all__ = [
    "METHODS",
    "NAMES",
    "ContextGrid",
    "Declaration",
    "Dilation",
    "Direct",
    "DisplacedGrid",
    "InterleavedGrid",
    "Level",
    "MergedGrid",
    "Method",
    "MethodOptions",
    "OverlappingGrid",
    "Recurring",
    "Redilated",
    "Request",
    "RolledGrid",
    "ShakenGrid",
    "TwinGrid",
    "instantas",
    "make_method",
    "phases",
    "plans_depend_on_seed",
    "register",
    "same_factor",
]
