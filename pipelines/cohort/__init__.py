"""Many studies in one go: found, planned, run side by side, gone on with after a stop, and summed up."""
