"""What operators see: health and metrics, which every role serves."""
