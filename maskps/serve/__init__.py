"""A local page to search a gallery with, on 127.0.0.1 alone. Needs the extra `serve`; imports no torch.

server     listens, and ends with Ctrl-C
app        the addresses, and what each answers
guard      which requests are let in; limits on their bytes
desk       the answers: a gallery, its network, and the pictures that were dropped on the page
pictures   those pictures, in memory and for a short time
asked      what a search asks for, checked
page/      HTML, style and script of the page
"""
