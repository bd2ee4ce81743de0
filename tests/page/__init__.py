"""The page of `ops` in a real browser, on the real servers."""
