"""DDPM Lab: `python app.py [--port 7860] [--host 127.0.0.1]`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve DDPM Lab to a browser.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be reached from other machines")
    parser.add_argument("--root-path", metavar="PATH",
                        help="where a proxy serves the page, as in /lab or https://example.com/lab")  # fmt: skip
    parser.add_argument("--name", action="append", default=[], metavar="NAME",
                        help="name by which visitors reach the server, as in example.com")  # fmt: skip
    parser.add_argument("--frame", action="append", default=[], metavar="ORIGIN",
                        help="site that may show the page in a frame, as in https://school.example")  # fmt: skip
    parser.add_argument("--model", action="append", default=[], metavar="MODEL",
                        help="network to be offered besides, as python -m diffusion sample takes it")  # fmt: skip
    parser.add_argument("--runs", metavar="DIR", help="where visitors' trainings are kept (default: runs/page)")
    parser.add_argument("--no-training", action="store_true", help="let visitors train no networks here")
    args = parser.parse_args()

    # The libraries read these when they are imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if args.runs:
        os.environ["DDPM_LAB_RUNS"] = str(Path(args.runs).absolute())
    from ui.files import make_folder

    # Visitors' files go with the server, also where it is asked to stop by other means than Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = make_folder(Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()))
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        from diffusion.networks.checkpoint import CheckpointError
        from ui.demo import build_demo, launch_options
        from ui.guard import Site
        from ui.models import add_networks

        try:
            add_networks(args.model)
        except CheckpointError as error:
            parser.error(str(error))
        site = Site(args.host, tuple(args.name), tuple(args.frame))
        training = not args.no_training
        options = launch_options(site, training)
        build_demo(training).launch(server_name=args.host, server_port=args.port, root_path=args.root_path, **options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
