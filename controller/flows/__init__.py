"""The use cases, in the order of the story: watch, work, drain, retire. They talk to ports and own no connection."""
