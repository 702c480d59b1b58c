"""Webhooks: endpoints and how they are, what was sent to them and what they answered, and how receivers check it."""
