"""What is done for a device while it hangs in the field: calibrated, repaired, accepted."""
