"""A colour means one thing on the whole page: here are those that figures need, and the Gradio theme.

All of them are in assets/css/lab.css.
"""

from __future__ import annotations

import gradio as gr

# Okabe & Ito's palette, told apart by colour-blind readers; the schedule's slate is mixed to fit beside it.
X0, EPS, XT, PREDICTED = "#0072B2", "#D55E00", "#8E5BB5", "#009E73"
LEARNED = "#D6336C"  # of what a network says beside what it should
GREY = "#8A8F98"
SCHEDULE, SCHEDULE_LIGHT = "#64788F", "#9DB0C4"
# Of lines that compare samplers: hues that mean nothing else on the page.
BY_SAMPLER = {"ddpm": "#8A5A2B", "ddim": "#1F2F41", "dpmpp": "#C2478C", "unipc": "#0A8AA0", "heun": "#8F8500"}
# What the style sheet calls them.
COLOURS = {
    "--x0": X0, "--eps": EPS, "--xt": XT, "--pred": PREDICTED, "--learned": LEARNED, "--lab-schedule": SCHEDULE,
    "--lab-schedule-light": SCHEDULE_LIGHT, **{f"--by-{name}": colour for name, colour in BY_SAMPLER.items()},
}  # fmt: skip

_SANS = ["ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def theme() -> gr.themes.Base:
    """Neutral and quiet, from fonts every system has: nothing is fetched from elsewhere."""
    return gr.themes.Base(
        primary_hue="slate", secondary_hue="slate", neutral_hue="slate", radius_size="md", font=_SANS, font_mono=_MONO
    ).set(
        body_background_fill="#f7f8fa",
        body_background_fill_dark="#0f141b",
        block_background_fill="white",
        block_background_fill_dark="#171d26",
        button_primary_background_fill="#24364b",
        button_primary_background_fill_hover="#1a2838",
        button_primary_text_color="white",
        button_primary_background_fill_dark="#c9d6e4",
        button_primary_background_fill_hover_dark="#e2eaf2",
        button_primary_text_color_dark="#10161e",
        slider_color="#64788f",
        slider_color_dark="#9db0c4",
    )
