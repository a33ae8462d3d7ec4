"""COCO-style JSON with a `person_id` for each annotation.

json_file  the JSON as columns, with the help of ids and images; problems counts what is odd
reader     the data set, as `maskps.structures` describes it
protocols  its test protocols
writer     the same files, written
checks     what `verify` checks in this format only
"""
