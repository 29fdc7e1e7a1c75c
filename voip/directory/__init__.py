"""The directory: who there is, where each is reached, and which calls go on, for scripts, telephones and browsers.

`Directory` has all of that in memory and belongs to the network thread: `users` (names and presence), `location`
(contacts, RFC 3261 section 10) and `calls` (what the HTTP API begins and ends). `store` makes changes durable in a
thread of its own before they are acknowledged; `api` and `server` speak HTTP in another, which owns nothing.
"""
