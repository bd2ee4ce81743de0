"""What operators see: what every role serves (health, metrics), what commands print, and the page."""
