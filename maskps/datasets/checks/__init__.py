"""What `verify` checks in every format.

tables      the columns as the files give them: boxes, identities, names
protocols   test protocols
images      the image files
"""
