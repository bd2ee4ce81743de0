"""Real servers for tests and the demo, as child processes on loopback: see stack.py."""
