"""`make demo`: a rolling restart on real servers, watched from the outside and judged: see __main__.py."""
