"""Plotly figures without their data: a trace names the column that the browser fills it with whenever that changes.

A trace's ``meta`` is {"x": column, "y": column} and, for error bars, {"error": column}. Where x is "t", the page may
put another measure of time in its place.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ui.theme import EPS, SCHEDULE, SCHEDULE_LIGHT, X0

Columns = dict[str, list[float | None]]


def schedule_figure(*, across: int = 2) -> dict[str, Any]:
    """beta_t; alpha_bar_t with both square roots; log SNR; the weights of L_{t-1}; over t.

    ``across``: panels side by side, 2 on a wide screen and 1 on a phone. The layout's ``meta`` says how the browser
    sets the range of each panel: {curve: {"axis": its y axis, "range": "zero", "unit", "fives" or "decades"}}; traces
    with {"main": True} in their ``meta`` are drawn for pinned schedules too.
    """
    titles = (
        "β<sub>t</sub>, variance added by step t",
        "ᾱ<sub>t</sub>, and the weights of x₀ and ε",
        "log SNR (natural)",
        "weight of ‖ε − ε<sub>θ</sub>‖² in L<sub>t−1</sub>",
    )
    rows = len(titles) // across
    figure = make_subplots(rows, across, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.36 / rows)
    beta, alpha_bar, log_snr, weight = ((i // across + 1, i % across + 1) for i in range(4))
    _line(figure, "beta", "β<sub>t</sub>", SCHEDULE, beta, legend="legend3", main=True)
    _line(figure, "alpha_bar", "ᾱ<sub>t</sub>", SCHEDULE, alpha_bar, main=True)
    _line(figure, "signal", "√ᾱ<sub>t</sub>, on x₀", X0, alpha_bar)
    _line(figure, "noise", "√(1−ᾱ<sub>t</sub>), on ε", EPS, alpha_bar)
    _line(figure, "log_snr", "log SNR", SCHEDULE, log_snr, legend=None, main=True)
    _line(figure, "weight_beta", "σ² = β<sub>t</sub>", SCHEDULE, weight, legend="legend2", main=True)
    _line(figure, "weight_posterior", "σ² = β̃<sub>t</sub>", SCHEDULE_LIGHT, weight, legend="legend2")
    figure.update_yaxes(type="log", exponentformat="power", dtick=1, row=weight[0], col=weight[1])
    figure.update_xaxes(title={"text": "t", "standoff": 2}, row=rows)
    legends = {"legend": (0.99, 0.8), "legend2": (0.99, 0.37), "legend3": (0.44, 0.8)}
    if across == 1:
        legends = {"legend": (0.99, 0.66), "legend2": (0.99, 0.19), "legend3": (0.99, 0.99)}
    figure.update_layout(
        meta={
            "beta": {"axis": "yaxis", "range": "zero"},
            "alpha_bar": {"axis": "yaxis2", "range": "unit"},
            "log_snr": {"axis": "yaxis3", "range": "fives"},
            "weight": {"axis": "yaxis4", "range": "decades"},
        }
    )
    return _finish(figure, height=532 if across == 2 else 1012, legends=legends, below=76)


def loss_figure() -> dict[str, Any]:
    """The error by t as measured, the weight, and their product L_{t-1}, each on a log axis over t."""
    titles = (
        "E‖ε − ε<sub>θ</sub>‖² / D; dots: measured, ±1 s.e.",
        "weight β<sub>t</sub>² / (2 σ<sub>t</sub>² α<sub>t</sub> (1−ᾱ<sub>t</sub>))",
        "L<sub>t−1</sub>, bits/dim",
    )
    figure = make_subplots(3, 1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.09)
    _line(figure, "error", "on this schedule", EPS, (1, 1), legend=None)
    figure.add_trace(
        go.Scatter(
            mode="markers",
            showlegend=False,
            name="measured, ±1 standard error",
            marker={"color": EPS, "size": 5},
            error_y={"type": "data", "color": EPS, "thickness": 1, "width": 2},
            meta={"x": "measured_t", "y": "measured", "error": "measured_error"},
        ),
        1,
        1,
    )
    _line(figure, "weight", "weight", SCHEDULE, (2, 1), legend=None)
    _line(figure, "product", "weight × error", SCHEDULE_LIGHT, (3, 1), legend="legend2")
    _line(figure, "bound", "L<sub>t−1</sub>, with C<sub>t</sub>", SCHEDULE, (3, 1), legend="legend2")
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    figure.update_xaxes(title_text="t", row=3)
    return _finish(figure, height=560, legends={"legend2": (0.99, 0.26)}, below=44)


def _line(
    figure: go.Figure,
    column: str,
    name: str,
    colour: str,
    place: tuple[int, int],
    *,
    legend: str | None = "legend",
    main: bool = False,
) -> None:
    trace = go.Scatter(
        mode="lines",
        name=name,
        line={"color": colour, "width": 2},
        meta={"x": "t", "y": column} | ({"main": True} if main else {}),
        showlegend=legend is not None,
        legend=legend or "legend",
    )
    figure.add_trace(trace, *place)


def _finish(figure: go.Figure, *, height: int, legends: dict[str, tuple[float, float]], below: int) -> dict[str, Any]:
    """``legends``: where the upper right corner of each goes, inside the panel it is about; ``below``: pixels there."""
    figure.update_traces(hovertemplate="%{y:.4g}")
    figure.update_annotations(font_size=13)
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 16, "t": 34, "b": below},
        font={"size": 12, "family": "ui-sans-serif, system-ui, sans-serif"},
        hovermode="x unified",
        uirevision="kept",  # a zoom outlives new data
    )
    for name, (x, y) in legends.items():
        figure.update_layout({name: {"x": x, "y": y, "xanchor": "right", "yanchor": "top", "bgcolor": "rgba(0,0,0,0)"}})
    figure.update_xaxes(showline=True, ticks="outside", ticklen=4)
    figure.update_yaxes(zeroline=False)
    content: dict[str, Any] = figure.to_plotly_json()
    return content
