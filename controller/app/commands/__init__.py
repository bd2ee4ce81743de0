"""Commands that end: what one of them asks for, and what it prints."""
