"""What a command tells of its runs."""
