"""Stand-ins for the ports of controller/flows: small, in memory, and held to the behaviour of the real servers.

tests/contract runs the same cases on these and on the real ones; a fake that differs is wrong.
"""
