"""Sign-in and rights, refusals, and what every answer carries.

authorizer  each route asks here first: the token, what its user may do, where a write comes from
session     sign-in with a browser: the token goes into a cookie
headers     the security headers, limits of time and size
"""
