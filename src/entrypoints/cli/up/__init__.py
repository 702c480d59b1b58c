"""`payments up`: the whole service on this machine. The command itself imports nothing heavy."""
