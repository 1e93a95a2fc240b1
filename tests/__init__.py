"""The tests mirror the package: a module's tests lie at its place here, what spans several modules at the root."""

import pytest

pytest.register_assert_rewrite(
    "tests.support", "tests.inference.support", "tests.phantom.support", "tests.readers.support"
)
