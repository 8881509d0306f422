"""Plotly figures without their data: traces name the column that fills them, in the browser, as often as it changes.

A trace's ``meta`` is {"x": column, "y": column} and, for error bars, {"error": column}.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ui.theme import EPS, SCHEDULE, SCHEDULE_LIGHT, X0

Columns = dict[str, list[float | None]]


def schedule_figure() -> dict[str, Any]:
    """beta_t; alpha_bar_t with both square roots; log SNR; the weights of L_{t-1}; over t."""
    titles = ("β_t, variance added by step t", "ᾱ_t and what it multiplies", "log SNR (natural)", "weight of ‖ε−ε_θ‖²")
    figure = make_subplots(2, 2, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.12)
    _line(figure, "beta", "β_t", SCHEDULE, (1, 1))
    _line(figure, "alpha_bar", "ᾱ_t", SCHEDULE, (1, 2))
    _line(figure, "signal", "√ᾱ_t, on x₀", X0, (1, 2))
    _line(figure, "noise", "√(1−ᾱ_t), on ε", EPS, (1, 2))
    _line(figure, "log_snr", "log SNR", SCHEDULE, (2, 1))
    _line(figure, "weight_beta", "σ² = β_t", SCHEDULE, (2, 2))
    _line(figure, "weight_posterior", "σ² = β̃_t", SCHEDULE_LIGHT, (2, 2))
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    figure.update_yaxes(type="log", exponentformat="power", row=2, col=2)
    figure.update_xaxes(title_text="t", row=2)
    return _finish(figure, height=520)


def loss_figure() -> dict[str, Any]:
    """The error by t as measured, the weight, and their product L_{t-1}, each on a log axis over t."""
    titles = ("error E‖ε−ε_θ‖² / D, as measured", "weight", "L<sub>t−1</sub>, bits/dim")
    figure = make_subplots(3, 1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.09)
    _line(figure, "error", "error on this schedule", EPS, (1, 1))
    figure.add_trace(
        go.Scatter(
            mode="markers",
            name="measured (±1 standard error)",
            marker={"color": EPS, "size": 5},
            error_y={"type": "data", "color": EPS, "thickness": 1, "width": 2},
            meta={"x": "measured_t", "y": "measured", "error": "measured_error"},
        ),
        1,
        1,
    )
    _line(figure, "weight", "weight", SCHEDULE, (2, 1))
    _line(figure, "product", "weight × error", SCHEDULE_LIGHT, (3, 1))
    _line(figure, "bound", "L<sub>t−1</sub>, with C_t", SCHEDULE, (3, 1))
    figure.update_yaxes(type="log", exponentformat="power")
    figure.update_xaxes(title_text="t", row=3)
    return _finish(figure, height=640)


def _line(figure: go.Figure, column: str, name: str, colour: str, place: tuple[int, int]) -> None:
    trace = go.Scatter(mode="lines", name=name, line={"color": colour, "width": 2}, meta={"x": "t", "y": column})
    figure.add_trace(trace, *place)


def _finish(figure: go.Figure, *, height: int) -> dict[str, Any]:
    figure.update_traces(hovertemplate="%{y:.4g}")
    figure.update_annotations(font_size=13)
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 16, "t": 34, "b": 40},
        font={"size": 12, "family": "ui-sans-serif, system-ui, sans-serif"},
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.09, "yanchor": "top"},
        uirevision="kept",  # a zoom outlives new data
    )
    figure.update_xaxes(showline=True, ticks="outside", ticklen=4)
    figure.update_yaxes(zeroline=False)
    content: dict[str, Any] = figure.to_plotly_json()
    return content
