"""Files and arrays of labelled images: sources, formats, deliveries, prepared sets."""
