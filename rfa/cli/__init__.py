"""The command line: rfa reproduce, train, check, audit and info."""
