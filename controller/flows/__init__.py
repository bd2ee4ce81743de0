"""The use cases, watch, dispatch, work, drain, restore, replay, sweep. They talk to ports and own no connection."""
