"""The rules, and nothing else: no I/O, no asyncio, no clock, no logging.

Reading order: pods, tracking, causes, routing, commands, annotations, candidates, ownership, silence, stages, events.
"""
