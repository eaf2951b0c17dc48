"""The data as files and arrays: sources, formats, deliveries, prepared sets."""
