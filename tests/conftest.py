"""Every test may ask for the real servers; they are started by the first one that does."""

pytest_plugins = ["tests.stack.fixtures"]
