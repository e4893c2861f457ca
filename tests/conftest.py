import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, print_blob=True)
settings.load_profile("default")


@pytest.fixture
def rng(request):
    """A generator seeded by the test's name, so that a failure repeats alone."""
    return np.random.default_rng(list(request.node.nodeid.encode()))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """The whole suite goes to two processes, a file at a time: a compiler, a notebook or a type
    checker would leave one core idle. Chosen tests stay in this process; so do all with -n 0, with
    --pdb or -s, or without pytest-xdist."""
    if hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("xdist"):
        return
    option = config.option
    whole = config.args_source is config.ArgsSource.TESTPATHS and not option.keyword
    by_default = whole and option.markexpr.startswith("not ")
    watched = option.usepdb or option.capture == "no"
    if by_default and not watched and option.numprocesses is None:
        option.numprocesses = 2
        option.dist = "loadfile"
        option.loadscopereorder = False
