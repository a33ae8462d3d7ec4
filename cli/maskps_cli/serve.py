"""`maskps serve`: a local page to search a gallery with."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from maskps_cli.gallery import gallery_argument
from maskps_cli.networks import network_options, open_predictor
from maskps_cli.options import quiet_option
from maskps_cli.output import echo, print_terms, say


@click.command()
@gallery_argument
@network_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of 127.0.0.1 to listen on.  [default: a free one]",
)
@click.option(
    "--open", "opens", is_flag=True, help="Open the page in the browser. Not where others can list processes."
)
@quiet_option
def serve(
    place: str, run: Path | None, onnx: Path | None, device: str, port: int, opens: bool, quiet: bool
) -> None:
    """Search GALLERY with a page in the browser.

    Drop a photo, click a person, look at the hits. Prints the address of the page, which only works on this
    machine, and serves it until Ctrl-C. The address holds a secret: who has it and an account on this machine
    can search. Needs the extra `serve`.

    A similarity is the cosine of two vectors: it is not a probability, and it is not identity. Nothing leaves
    this machine, unless GALLERY is the address of a Milvus server.

    \b
    Example:
      maskps serve people.gallery --run run
    """
    from maskps.errors import ConfigError
    from maskps.gallery import Gallery
    from maskps.gallery.photos import shown_path

    try:
        from maskps.serve.server import serve as serve_page
    except ImportError as error:
        raise ConfigError(
            "maskps serve",
            expected="the packages starlette and uvicorn",
            found=f"{error.name} is not installed",
            hint="pip install 'maskps[serve]'",
        ) from error

    def started(address: str) -> None:
        echo(address)
        say("Ctrl-C ends it.", quiet=quiet)
        if opens:
            webbrowser.open(address)

    predictor = open_predictor(run, onnx, device)
    with Gallery.open(place, predictor, create=False) as gallery:
        print_terms(gallery.store.network.terms)
        try:
            serve_page(shown_path(place), gallery, port, started=started)
        except KeyboardInterrupt:
            say("stopped", quiet=quiet)
