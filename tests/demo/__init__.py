"""`make demo`: a rolling restart on real servers, watched from the outside and checked: see __main__.py."""
