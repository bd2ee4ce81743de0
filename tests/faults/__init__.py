"""What may break, at which moment, on the real servers, and what must hold all the same: `make faults`."""
