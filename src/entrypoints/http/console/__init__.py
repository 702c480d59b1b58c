"""The console: pages for people, merchants and staff, over the same use cases as the API."""
