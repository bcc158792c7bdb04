"""`puna serve`: the service and the page."""

from pathlib import Path

import click

from puna.cli.inputs import device_option, model_option, reader_option
from puna.cli.output import language, printable

_WORDS = {
    "en": {
        "at": "Puna serves {model} at {url} (Ctrl-C stops it)",
        "keys": "requests need a key",
        "open": "no key is needed; only this machine can reach it",
    },
    "zh": {
        "at": "Puna 正在 {url} 提供 {model}（按 Ctrl-C 停止）",
        "keys": "请求需要密钥",
        "open": "无需密钥；只有本机可以访问",
    },
}


@click.command(short_help="Serve the page and an HTTP interface.")
@click.option(
    "--library", metavar="DIR|postgresql://…", help="Documents to ask and to upload to; made if it is not there."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8017, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one."
)
@click.option(
    "--api-key-file", metavar="FILE", type=Path, help="A key a line; needed on any address but this machine's."
)
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="Another name it is called by; may be given again."
)
@click.option(
    "--waiting", default=128, show_default=True, type=click.IntRange(1, 10000), help="Requests that may wait."
)
@click.option(
    "--seconds", default=300, show_default=True, type=click.IntRange(1, 86400), help="Longest time of a request."
)
@click.option(
    "--memory",
    default=1024,
    show_default=True,
    type=click.IntRange(1),
    help="MiB for texts that are read and written.",
)
@model_option
@reader_option
@device_option
def serve(
    library: str | None,
    host: str,
    port: int,
    api_key_file: Path | None,
    allow_host: tuple[str, ...],
    waiting: int,
    seconds: int,
    memory: int,
    model: str | None,
    adapter: Path | str | None,
    device: str,
) -> None:
    """Serve the page and an HTTP interface: Puna's own and OpenAI's.

    Requests of many people share one model, and what one gets does not depend on who else asks. Needs the extra
    "serve": pip install 'puna[serve]'. Routes are described at /openapi.json. SIGTERM and Ctrl-C stop it: what is in
    work has eight seconds to be done, then gets an error. Exits 0 when it was stopped, 2 on bad input.

    \b
    Examples:
      puna serve
      puna serve --library my.library
      puna serve --port 9000 --model my-model.gguf
      puna serve --host 0.0.0.0 --api-key-file keys.txt --allow-host puna.example.org
    """
    from puna.serve.run import access, check_packages, listen

    check_packages()
    keys, hosts = access(host, api_key_file, allow_host)
    sock = listen(host, port)
    with sock:
        import asyncio

        import puna
        from puna.serve.app import make_app
        from puna.serve.library import Documents
        from puna.serve.limits import Limits
        from puna.serve.server import Server
        from puna.serve.service import Service
        from puna.weights.store import resolve

        limits = Limits(waiting=waiting, seconds=float(seconds), memory=memory << 20)
        documents = Documents(library, create=True) if library else None
        reader = puna.load(model, adapter=adapter, device=device)
        service = Service(reader, limits, path=resolve(model), documents=documents)
        server = Server(make_app(service, hosts=hosts, keys=keys), limits, service.stop)
        service.engine.start()
        words = _WORDS[language()]
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{sock.getsockname()[1]}/"
        click.echo(printable(words["at"].format(model=reader.name, url=url)), err=True)
        click.echo(words["open" if keys is None else "keys"], err=True)
        asyncio.run(server.serve(sockets=[sock]))
