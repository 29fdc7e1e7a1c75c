"""How the tables of the directory became what they are: a step for each version, applied at the start, by Alembic."""
