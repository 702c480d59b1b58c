"""Passwords, access tokens, sealed secrets, and the keys that they all derive from one root."""
