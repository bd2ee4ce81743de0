"""What the flows' ports promise: the same cases on the fakes and on the adapters with the real servers behind them."""
