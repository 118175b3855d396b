"""Conda channels: which ones are meant, what their records say, and those records as builds that the rules judge."""
