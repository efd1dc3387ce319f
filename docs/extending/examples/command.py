"""The command "rfa presets" prints a table, and refuses arguments that it does not know."""

from rfa.cli.main import main

print("status:", main(["presets"]))
print("with a word too many:", main(["presets", "all"]))
