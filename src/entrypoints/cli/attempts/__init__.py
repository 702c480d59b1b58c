"""`payments attempts`."""
