"""stub"""
from ._core import *
