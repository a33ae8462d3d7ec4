"""The checks of `verify` that formats share.

tables      scenes, boxes, identities and names as the files give them
protocols   test protocols
images      the image files
"""
