"""A backend that nobody of metadatadb's authors needs to know of."""
