"""Search in images of one's own: a gallery of the persons in them. Imports no torch.

gallery       `Gallery`: add, search, forget
hits          a search and its hits, for hits_files and hits_page, which show them
indexing      which files are new, changed, moved or copies
photos        photos on disk: which are read, how, and why not
video         frames of videos, by their time stamps
standing      who in a video is kept, if people stand still
predictors    what is needed of a network
records       the records that stores and their users exchange
store         the protocol `GalleryStore`, and `open_store`
sqlite_store  the store in one SQLite file
milvus_store  the store in Milvus
vectors       what all stores do alike
"""

from maskps.gallery.gallery import Gallery, Hits
from maskps.gallery.indexing import Added
from maskps.gallery.predictors import PersonPredictor
from maskps.gallery.records import Network, PersonRow, Persons, Source, SourceState, Where
from maskps.gallery.store import GalleryStore, open_store

__all__ = [
    "Added",
    "Gallery",
    "GalleryStore",
    "Hits",
    "Network",
    "PersonPredictor",
    "PersonRow",
    "Persons",
    "Source",
    "SourceState",
    "Where",
    "open_store",
]
