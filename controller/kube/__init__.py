"""Kubernetes: configuration, authentication and transport are kubernetes-asyncio's; the list and watch are ours.

Its import costs half a second, so it is imported where it is first used.
"""
