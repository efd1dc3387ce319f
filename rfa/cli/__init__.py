"""The command line: rfa reproduce, train, check, audit and info.

main lists the commands and sets the exit status. A command is a file with its options and what it
does. What several commands share is in options (the options and their types), parameters (an option
for each parameter of an experiment), figures and console (messages on the terminal).
"""
