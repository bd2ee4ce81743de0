"""Who may come in, how they are told no, and what every answer carries.

gate        each route asks here first: the token, what its user may, where a write comes from
signing_in  with a browser: the token goes into a cookie
headers     the security headers, limits of time and size
"""
