"""The composition root: the only folder where things are built. Everything else receives what it needs.

process      the roles that stay: watch, work, ops; watch_parts, worker_parts and ops_role: what each is built of
commands     what does one thing and ends; exit_status: how each of them ends
assembly     what they have in common
"""
