"""DDPM Lab: `python app.py [--port 7860] [--host 127.0.0.1]`."""

from __future__ import annotations

import argparse
import os


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve DDPM Lab to a browser.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be reached from other machines")
    args = parser.parse_args()

    # Both libraries read these when they are imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from ui.demo import build_demo, launch_options

    build_demo().launch(server_name=args.host, server_port=args.port, **launch_options())


if __name__ == "__main__":
    main()
