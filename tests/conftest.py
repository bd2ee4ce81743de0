"""Every test may ask for the real servers; they are started by the first one that does."""

from hypothesis import settings

# A busy machine makes an example slow, and nothing wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["tests.stack.fixtures"]
