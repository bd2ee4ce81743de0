"""Take terminating Kubernetes pods out of a Eureka registry before their clients call them in vain."""
