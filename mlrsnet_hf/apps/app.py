"""The app in the browser: Classify, Search and Explore, each where its part is given."""

import os
import threading
from pathlib import Path

import gradio as gr

from mlrsnet_hf.apps.classify import ClassifyTab
from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.apps.explore import ExploreTab
from mlrsnet_hf.apps.page import note
from mlrsnet_hf.apps.parts import Parts
from mlrsnet_hf.apps.search import SearchTab
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import kept_if_stopped
from mlrsnet_hf.runtime.logs import print_result

STYLE = Path(__file__).with_name("app.css")
_FONTS = ("system-ui", "sans-serif")
_AT_ONCE = 4
"""Requests of a kind that are worked on at once; more wait."""
_UPLOADS_KEPT = (600, 3600)
"""Seconds: how often uploads are looked at, and how old those are that are removed."""


def build_app(parts: Parts, title: str = "Remote sensing images") -> gr.Blocks:
    """Return the app, not yet served."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=_UPLOADS_KEPT) as app:
        gr.HTML(f"<h1>{title}</h1>")
        with gr.Tabs() as tabs:
            classify = search = None
            if parts.model is not None:
                with gr.Tab("Classify", id="classify"):
                    classify = ClassifyTab(parts.model, parts.examples(), parts.thumbnails, parts.index)
            if parts.index is not None:
                with gr.Tab("Search", id="search"):
                    search = SearchTab(parts.index)
            if parts.data is not None:
                with gr.Tab("Explore", id="explore"):
                    app.load(*ExploreTab(parts.data).begin)
        if search is not None and classify is not None and classify.neighbors is not None:
            search.open_at(classify.neighbors, tabs=tabs, tab="search")
        gr.HTML(note(parts.attribution))
    return app


def serve_app(app: gr.Blocks, config: AppConfig) -> str:
    """Serve the app from threads of its own; return its address.

    Raises:
        ConfigurationError: The address or the port cannot be listened at.
    """
    try:
        _, url, public = app.queue(default_concurrency_limit=_AT_ONCE).launch(
            prevent_thread_lock=True,
            server_name=config.host,
            server_port=config.port,
            share=config.share,
            max_file_size=f"{config.upload_megabytes}mb",
            theme=theme(),
            css_paths=[STYLE],
            footer_links=["gradio"],
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            quiet=True,
        )
    except OSError as error:
        port = f":{config.port}" if config.port else ""
        raise ConfigurationError(
            f"{config.host}{port}: cannot be listened at ({' '.join(str(error).split()).rstrip('.')})",
            "Give another --port, or another --host.",
        ) from error
    return public or url


def run_app(parts: Parts, config: AppConfig) -> None:
    """Serve the app of some parts until the process is stopped.

    Raises:
        ConfigurationError: See `serve_app`.
    """
    print_result(f"app: {serve_app(build_app(parts), config)} (Ctrl-C ends it)")
    with kept_if_stopped(lambda: "The app has ended; nothing is lost."):
        threading.Event().wait()


def theme() -> gr.themes.Base:
    """Return colors of enough contrast (WCAG AA), and fonts that every machine has."""
    made = gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", font=_FONTS, font_mono=("ui-monospace", "monospace")
    )
    return made.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
    )
