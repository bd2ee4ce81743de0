"""Measurements on the real servers, side by side in one run: `make bench`."""
