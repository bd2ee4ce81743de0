"""``kubectl drains``: everything over the API of ``ops``, with a kubeconfig and no right at the broker.

It runs from one file with nothing but Python and kubectl, so it imports the domain and the standard library alone.
"""
