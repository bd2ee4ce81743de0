"""The overlays as they stand, each installed, tried and taken away before the page's own installation comes."""
