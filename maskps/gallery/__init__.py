"""Search in images of one's own: a gallery of the persons in them. Imports no torch."""
