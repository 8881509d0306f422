"""Plotly figures without their data: a trace names the column that the browser fills it with whenever that changes.

A trace's ``meta`` is {"x": column, "y": column} and, for error bars, {"error": column}. Where x is "t", the page may
put another measure of time in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import cycle
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ui.theme import BY_SAMPLER, EPS, GREY, LEARNED, PREDICTED, SCHEDULE, SCHEDULE_LIGHT, X0, XT

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
    legends = {"legend": (0.99, 0.8), "legend2": (0.99, 0.37), "legend3": (0.01, 0.99)}
    if across == 1:
        legends = {"legend": (0.99, 0.66), "legend2": (0.99, 0.19), "legend3": (0.01, 0.99)}
    figure.update_layout(
        meta={
            "beta": {"axis": "yaxis", "range": "zero"},
            "alpha_bar": {"axis": "yaxis2", "range": "unit"},
            "log_snr": {"axis": "yaxis3", "range": "fives"},
            "weight": {"axis": "yaxis4", "range": "decades"},
        }
    )
    return _finish(figure, height=532 if across == 2 else 1012, legends=legends, below=76)


# A colour and a dash for each loss: the three of the bound in the schedule's hues, those of other weights in others.
LOSSES = {
    "simple": (EPS, "solid"),
    "beta": (SCHEDULE, "solid"),
    "between": (SCHEDULE, "6px,3px"),
    "posterior": (SCHEDULE, "2px,2px"),
    "min_snr": ("#CC79A7", "solid"),
    "p2": ("#56B4E9", "solid"),
    "truncated_snr": ("#CC79A7", "6px,3px"),
    "snr_plus_1": ("#56B4E9", "6px,3px"),
}


def loss_figure() -> dict[str, Any]:
    """One panel, in which the browser shows the error, the weights, the terms of the losses or their shares.

    A trace's ``meta`` has {"shows": "error"} for the first, else {"loss": name}; which column it shows is set there.
    """
    figure = make_subplots(1, 1)
    band = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    for column, fill in (("error_low", None), ("error_high", "tonexty")):
        trace = go.Scatter(**band, fill=fill, fillcolor="rgba(213, 94, 0, 0.18)", meta={"x": "t", "y": column})
        figure.add_trace(trace, 1, 1)
    _line(figure, "others", "exact denoiser of other images", GREY, (1, 1), dash="2px,2px")
    _line(figure, "known", "exact denoiser of all images", GREY, (1, 1))
    _line(figure, "error", "network", EPS, (1, 1))
    figure.add_trace(
        go.Scatter(
            mode="markers",
            showlegend=False,
            name="measured",
            marker={"color": EPS, "size": 5},
            error_y={"type": "data", "color": EPS, "thickness": 1, "width": 2},
            meta={"x": "measured_x", "y": "measured", "error": "measured_spread"},
        ),
        1,
        1,
    )
    for trace in figure.data:
        trace.meta = trace.meta | {"shows": "error"}
    for name, (colour, dash) in LOSSES.items():
        _line(figure, f"term_{name}", name, colour, (1, 1), dash=dash)
        figure.data[-1].meta = figure.data[-1].meta | {"loss": name}
    figure.update_xaxes(title={"text": "t", "standoff": 2})
    figure.update_yaxes(exponentformat="power", tickfont={"size": 11}, title={"text": " ", "standoff": 4})
    figure.update_layout(meta={"loss": {"axis": "yaxis", "range": "decades"}})
    content = _finish(figure, height=380, legends={}, below=52)
    content["layout"]["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}}
    content["layout"]["margin"] |= {"t": 48, "l": 68}
    return content


def rate_figure() -> dict[str, Any]:
    """Distortion against rate, as in figure 5 of Ho et al. 2020; the browser fills it, and moves a point along it."""
    figure = make_subplots(1, 1)
    _line(figure, "distortion", "network", PREDICTED, (1, 1), legend=None)
    figure.data[0].meta = figure.data[0].meta | {"x": "rate"}
    figure.update_xaxes(title={"text": "bits/dim spent", "standoff": 2}, rangemode="tozero")
    figure.update_yaxes(title={"text": "RMSE of predicted x₀, 0 … 255", "standoff": 4}, rangemode="tozero")
    content = _finish(figure, height=300, legends={}, below=48)
    content["layout"]["hovermode"] = "closest"
    content["layout"]["margin"] |= {"t": 16}
    return content


def trajectory_figure(*, across: int = 3) -> dict[str, Any]:
    """Mean and deviation of x_t beside the expected ones, and how far each step moved, from T down to 0.

    ``across``: panels side by side, 3 on a wide screen and 1 on a phone.
    """
    titles = (
        "mean of x<sub>t</sub>; dashed: expected",
        "deviation of x<sub>t</sub>",
        "step: RMS of x<sub>s</sub> − x<sub>t</sub>",
    )
    rows = len(titles) // across
    figure = make_subplots(rows, across, subplot_titles=titles, horizontal_spacing=0.07, vertical_spacing=0.14)
    for i, column in enumerate(("mean", "std", "moved")):
        place = (i // across + 1, i % across + 1)
        if column != "moved":
            _line(figure, f"expected_{column}", "forward process", GREY, place, legend=None, dash="4px,3px")
        _line(figure, column, "this run", XT, place, legend=None)
    figure.update_xaxes(autorange="reversed", nticks=4)
    figure.update_xaxes(title={"text": "t", "standoff": 0}, row=rows)
    figure.update_yaxes(nticks=4)
    content = _finish(figure, height=176 if across == 3 else 460, legends={}, below=36)
    content["layout"]["margin"] |= {"t": 26, "l": 40, "r": 8}
    return content


def learning_figure() -> dict[str, Any]:
    """How far a network that learns is from what it should say, over the noise level, as learning.py measures it."""
    figure = make_subplots(1, 1)
    _line(figure, "floor", "floor: exact denoiser of the points", GREY, (1, 1))
    _line(figure, "error", "error of the network", LEARNED, (1, 1))
    _line(figure, "memory", "memory: from the exact denoiser", PREDICTED, (1, 1), dash="5px,3px")
    _line(figure, "pattern", "pattern: from that of the distribution", SCHEDULE, (1, 1), dash="2px,2px")
    for trace in figure.data:
        trace.meta = trace.meta | {"x": "log_snr"}
    title = "log SNR (noise grows to the right)"
    figure.update_xaxes(autorange="reversed", title={"text": title, "standoff": 4})
    figure.update_yaxes(
        type="log", exponentformat="power", dtick=1, range=[-4.6, 0.4],
        title={"text": "mean square, of ε", "standoff": 4},
    )  # fmt: skip
    content = _finish(figure, height=300, legends={}, below=48)
    content["layout"]["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}}
    content["layout"]["margin"] |= {"t": 48, "l": 68}
    return content


def history_figure(*, across: int = 2) -> dict[str, Any]:
    """How far a network that learns is from the two fields that it can come to, and its samples from the data, over the
    updates; see ``Lesson`` of learning.py.

    ``across``: panels side by side, 2 on a wide screen and 1 on a phone.
    """
    titles = ("how far from each", "its samples: kernel distance")
    rows = len(titles) // across
    figure = make_subplots(rows, across, subplot_titles=titles, horizontal_spacing=0.1, vertical_spacing=0.24)
    far, drawn = (1, 1), (rows, across)
    _line(figure, "memory", "memory, d(ε<sub>θ</sub>, ε*)", PREDICTED, far, dash="5px,3px")
    _line(figure, "pattern", "pattern, d(ε<sub>θ</sub>, ε<sub>p</sub>)", SCHEDULE, far, dash="2px,2px")
    _line(figure, "apart", "apart, d(ε*, ε<sub>p</sub>)", GREY, far)
    _line(figure, "distance", "its samples", LEARNED, drawn)
    _line(figure, "chance", "the exact denoiser's", GREY, drawn)
    over = {"memory": "updates", "pattern": "updates", "apart": "ends", "distance": "drawn", "chance": "ends"}
    for trace in figure.data:
        trace.meta = trace.meta | {"x": over[trace.meta["y"]]}
    figure.update_xaxes(type="log", exponentformat="power", dtick=1, title={"text": "updates", "standoff": 2})
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    content = _finish(figure, height=310 if across == 2 else 540, legends={}, below=106 if across == 2 else 130)
    content["layout"]["legend"] = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom",
                                   "font": {"size": 12}}  # fmt: skip
    content["layout"]["margin"] |= {"l": 50, "t": 28}
    return content


def training_figure(*, across: int = 2) -> dict[str, Any]:
    """The loss of a run over the images seen, and by noise level, each between what two denoisers that know images by
    heart can do.

    ``across``: panels side by side, 2 on a wide screen and 1 on a phone.
    """
    titles = ("loss, error of v a dimension", "loss by noise level, the last of it")
    rows = len(titles) // across
    figure = make_subplots(rows, across, subplot_titles=titles, horizontal_spacing=0.09, vertical_spacing=0.2)
    over, by = (1, 1), (rows, across)
    _line(figure, "heart_ends", "knows all by heart", GREY, over)
    _line(figure, "loss", "each row of the log", LEARNED, over, legend=None)
    figure.data[-1].update(opacity=0.3, line={"width": 1})
    _line(figure, "mean", "the network", LEARNED, over)
    _line(figure, "others", "knows other images by heart", GREY, by, dash="2px,2px")
    _line(figure, "heart", "knows all by heart", GREY, by, legend=None)
    _line(figure, "by_level", "the network", LEARNED, by, legend=None)
    along = {"heart_ends": "ends", "loss": "images", "mean": "images", "others": "levels",
             "heart": "levels", "by_level": "log_snr"}  # fmt: skip
    for trace in figure.data:
        trace.meta = trace.meta | {"x": along[trace.meta["y"]]}
    figure.update_xaxes(title={"text": "images seen", "standoff": 2}, rangemode="tozero", row=1, col=1)
    figure.update_xaxes(
        title={"text": "log SNR (noise grows to the right)", "standoff": 2}, autorange="reversed", row=rows, col=across
    )
    figure.update_yaxes(type="log", exponentformat="power", dtick="D2", tickfont={"size": 11})
    # Near the clean end one who knows all by heart is right to the last digit: an axis that shows that shows no more.
    figure.update_yaxes(range=[-3, 1], dtick=1, row=rows, col=across)
    content = _finish(figure, height=300 if across == 2 else 580, legends={}, below=84 if across == 2 else 124)
    content["layout"]["legend"] = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom",
                                   "font": {"size": 12}}  # fmt: skip
    content["layout"]["margin"] |= {"l": 50, "t": 28}
    return content


SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")  # for eyes that do not tell the hues apart


QUALITY = {"accuracy": "class found, % of images", "frechet": "Fréchet distance, less is better"}


def quality_figure(
    samplers: Mapping[str, str],
    panels: Mapping[str, str] = QUALITY,
    *,
    real: str = "real images held out",
    logarithmic: Collection[str] = ("frechet",),
    alike: bool = False,
    across: int = 2,
) -> dict[str, Any]:
    """What is drawn over calls of the network, a line for each sampler, in two panels; the browser marks the choice on
    its line, the last trace of each panel, and says at the ticks what so many calls take.

    samplers: their titles by name. panels: the titles of the columns. real: what the dashed line is. logarithmic: the
    columns whose axis is. alike: both are of one kind, on the same axis. ``across``: panels
    side by side, 2 on a wide screen and 1 on a phone.
    """
    rows = len(panels) // across
    figure = make_subplots(
        rows, across, subplot_titles=list(panels.values()), horizontal_spacing=0.09, vertical_spacing=0.2
    )
    for i, column in enumerate(panels):
        place, first = (i // across + 1, i % across + 1), i == 0
        legend = "legend" if first else None
        band = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
        for edge, fill in (("low", None), ("high", "tonexty")):
            meta = {"x": "calls_real", "y": f"{column}_{edge}"}
            figure.add_trace(go.Scatter(**band, fill=fill, fillcolor="rgba(138, 143, 152, 0.25)", meta=meta), *place)
        for (name, title), symbol in zip(samplers.items(), cycle(SYMBOLS)):
            _line(figure, f"{column}_{name}", title, BY_SAMPLER.get(name, GREY), place, legend=legend)
            figure.data[-1].update(
                mode="lines+markers", marker={"color": BY_SAMPLER.get(name, GREY), "symbol": symbol, "size": 6},
                meta={"x": f"calls_{name}", "y": f"{column}_{name}"}, legendgroup=name,
            )  # fmt: skip
        _line(figure, f"{column}_real", real, GREY, place, legend=legend, dash="5px,4px")
        figure.data[-1].update(meta={"x": "calls_real", "y": f"{column}_real"}, legendgroup="real")
        _line(figure, f"{column}_mark", "chosen", GREY, place, legend=None)
        ring = {"color": GREY, "symbol": "circle-open", "size": 17, "line": {"width": 3}}
        figure.data[-1].update(
            mode="markers", marker=ring, hoverinfo="skip", meta={"x": "calls_mark", "y": f"{column}_mark"}
        )
        axis = {"type": "log", "dtick": "D2"} if column in logarithmic else {"nticks": 6}
        figure.update_yaxes(**axis, row=place[0], col=place[1])
    figure.update_xaxes(type="log", range=[-0.06, 1.76], tickmode="array", tickangle=0)
    if alike:
        figure.update_yaxes(matches="y")
    content = _finish(figure, height=340 if across == 2 else 650, legends={}, below=66)
    content["layout"]["legend"] = {"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"}
    content["layout"]["margin"] |= {"t": 64 if across == 2 else 110, "l": 40, "r": 10}
    return content


def _line(
    figure: go.Figure,
    column: str,
    name: str,
    colour: str,
    place: tuple[int, int],
    *,
    legend: str | None = "legend",
    main: bool = False,
    dash: str = "solid",
) -> None:
    trace = go.Scatter(
        mode="lines",
        name=name,
        # 250 points are few already.
        line={"color": colour, "width": 2, "dash": dash, "simplify": False},
        meta={"x": "t", "y": column} | ({"main": True} if main else {}),
        showlegend=legend is not None,
        legend=legend or "legend",
    )
    figure.add_trace(trace, *place)


def _finish(figure: go.Figure, *, height: int, legends: dict[str, tuple[float, float]], below: int) -> dict[str, Any]:
    """``legends``: where the upper corner of each goes, inside the panel it is about; ``below``: pixels there."""
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
        figure.update_layout({name: {"x": x, "y": y, "xanchor": "left" if x < 0.5 else "right", "yanchor": "top"}})
    figure.update_xaxes(showline=True, ticks="outside", ticklen=4)
    figure.update_yaxes(zeroline=False)
    content: dict[str, Any] = figure.to_plotly_json()
    return content
