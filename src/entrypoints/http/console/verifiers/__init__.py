"""What receivers of webhooks copy: the check of our signature in their language. Pages show these files as they are."""
