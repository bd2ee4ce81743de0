"""The wire. One module a version, frozen once released; ``codec`` chooses among them."""
