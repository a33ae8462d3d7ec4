"""COCO-style JSON with a `person_id` for each annotation.

format     the row of the table of formats
json_file  reads the JSON into columns; images, ids: parts of it; entries: the findings on its entries
reader     reads the data set
protocols  reads and writes its test protocols
writer     writes the files
checks     the checks of this format
"""
