"""Eureka: the only folder that talks to the registry. ``node`` is one server, ``region`` is all of them at once."""
