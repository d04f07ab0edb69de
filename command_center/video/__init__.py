"""Video of the city's cameras: looked at with a reason, handed out for minutes, kept for an incident."""
