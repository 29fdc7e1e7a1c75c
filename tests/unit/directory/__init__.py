"""The directory: who is where, and calls between them."""
