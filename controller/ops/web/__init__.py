"""The page and the API of ``ops``: two views of the event log.

site     what every route is given, and the application that they live in
pages    HTML, complete without JavaScript; api: the same as JSON; live: server-sent events
queries  what can be asked; openapi: what the API promises
groups   drains as the first page lists them; picture: a timeline; markup: the templates and the static files
"""
