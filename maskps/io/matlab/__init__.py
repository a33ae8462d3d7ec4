"""MATLAB 5 files of nested structs, read and written as streams of bytes.

`scipy.io` makes a Python object of every cell; the test protocols of CUHK-SYSU have 11.6 million of them.

    open_mat(path, key)   a variable, whose elements come in chunks of matrices as columns
    write_mat(path, ...)  a file, from pieces that the functions of `writer` build
"""

from maskps.io.matlab.matrices import Matrices
from maskps.io.matlab.reader import Chunk, MatVariable, open_mat
from maskps.io.matlab.writer import (
    cell_matrix,
    char_matrix,
    number_matrix,
    struct_head,
    struct_matrix,
    write_mat,
)

__all__ = [
    "Chunk",
    "MatVariable",
    "Matrices",
    "cell_matrix",
    "char_matrix",
    "number_matrix",
    "open_mat",
    "struct_head",
    "struct_matrix",
    "write_mat",
]
