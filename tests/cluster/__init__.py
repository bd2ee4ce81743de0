"""A real cluster on this machine: kubelets, containers, a network, from package registries alone. See __main__.py."""
