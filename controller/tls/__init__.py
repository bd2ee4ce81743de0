"""TLS to the broker and to the registries: contexts from the settings' files, and what to tell when a handshake fails.

Every certificate is verified, and its host name too; nothing switches that off.
"""
