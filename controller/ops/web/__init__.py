"""The page and the API of ``ops``: two faces of the event log.

site     what every route is given, and the application that they live in
pages    HTML, complete without JavaScript; api: the same as JSON; live: server-sent events
replays  plans and their executions, for both
openapi  what the API promises
"""
