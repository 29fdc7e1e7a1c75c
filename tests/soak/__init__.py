"""A call that goes on for half an hour, under everything that may happen to it: `make soak`."""
