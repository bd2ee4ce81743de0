"""`make headline`: requests lost in rolling restarts, four ways side by side on real servers: see __main__.py."""
