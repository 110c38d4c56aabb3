"""In-silico heads with a tumor: anatomy, lesion, contrast. Everything here is synthetic and says so."""
