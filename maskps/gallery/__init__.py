"""Search in images of one's own: a gallery of the persons in them. Imports no torch.

photos        images on disk: which are read, how, and why not
records       the records that stores and their users exchange
store         the protocol `GalleryStore`, and `open_store`
sqlite_store  the store in one SQLite file
"""

from maskps.gallery.records import Network, PersonRow, Persons, Source, SourceState, Where
from maskps.gallery.store import GalleryStore, open_store

__all__ = ["GalleryStore", "Network", "PersonRow", "Persons", "Source", "SourceState", "Where", "open_store"]
