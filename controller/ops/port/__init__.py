"""The HTTP port of every role, for whoever reaches it.

http_server  health and metrics, and what a role adds to them; metrics on a port of their own where one is set
connections  what connections may hold, and which one is cut when they hold too much
descriptors  how many files and sockets the process may open
"""
