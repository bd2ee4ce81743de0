"""TLS to the broker and to the registries: contexts from the settings' files, and words for failed handshakes.

Every certificate is verified, and its host name too; nothing switches that off.
"""
