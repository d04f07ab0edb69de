"""Who is on duty, what one shift hands to the next, what leaders have instructed."""
