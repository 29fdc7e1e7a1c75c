"""The page: what it shows, who may ask, and its server."""
