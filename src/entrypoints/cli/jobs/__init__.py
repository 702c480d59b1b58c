"""`payments jobs`."""
