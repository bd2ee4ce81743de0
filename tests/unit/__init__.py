"""The parts of the controller that need no server: rules, decoders, settings, logs."""
