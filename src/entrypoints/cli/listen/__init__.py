"""`payments listen`: a receiver of webhooks on this machine."""
