"""TLS and credentials on the real servers: right, wrong, and rotated under load."""
