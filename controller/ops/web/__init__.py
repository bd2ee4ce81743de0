"""The page and the API of ``ops``: two faces of the event log.

site     what every route is given, and the application that they live in
pages    HTML, complete without JavaScript; api: the same as JSON; live: server-sent events
listing  what the pages show: drains in their groups; picture: a timeline; course: a replay under way
markup   the templates and the static files
replays  plans and their executions, for both
openapi  what the API promises
"""
