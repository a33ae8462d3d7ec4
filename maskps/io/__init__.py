"""Reading and writing files; nothing here knows what a person is.

files     writing whole files and folders or none, JSON, what `--force` may replace
locks     one writer at a time in a folder
paths     names of files in a data set, which never lead out of its folder
images    pictures, with errors that say what is wrong
npz       NumPy archives with fixed columns, without pickle
html      static pages from Jinja templates
tables    one table for the terminal, Markdown, CSV and LaTeX
matlab    MATLAB 5 files as streams of columns
"""
