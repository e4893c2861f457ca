import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, print_blob=True)
settings.load_profile("default")


@pytest.fixture
def rng(request):
    """A generator seeded by the test's name, so that a failure repeats alone."""
    return np.random.default_rng(list(request.node.nodeid.encode()))
