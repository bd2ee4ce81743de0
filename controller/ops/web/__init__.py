"""The page and the API of ``ops``: two views of the event log.

site     what every route is given, and the application that they live in
pages    HTML, complete without JavaScript; api: the same as JSON; server_sent_events: what is new
queries  what can be asked; openapi: what the API promises
markup   the templates and static files; drain_groups: drains as the first page lists them; timeline_chart: its picture
"""
