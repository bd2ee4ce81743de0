"""The product as a stranger runs it, on the real servers: from a pod's deletion to an instance gone from every node."""
