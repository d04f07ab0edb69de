"""Who somebody is, what he may see and do, and what takes two persons."""
