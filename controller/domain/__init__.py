"""The rules, and nothing else: no I/O, no asyncio, no clock, no logging.

Reading order: pods, tracking, decide, commands, hints, resolve, fence, drain, events.
"""
