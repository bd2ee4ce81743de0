"""The composition root: the only rooms where things are built. Everything else receives what it needs.

roles      the processes that stay: watch, work, ops
sweeping   and the others: commands that do one thing and end
assembly   what they have in common; ending: how each of them ends
"""
