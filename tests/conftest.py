"""One torch thread per worker, records in temporary folders, and assets only where MECHBOARD_ASSETS says."""

import os
import shutil
import signal
from pathlib import Path

import pytest


def pytest_configure(config):
    if os.environ.get("PYTEST_XDIST_WORKER"):
        import torch

        torch.set_num_threads(1)
    elif signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job ignores interrupts, and so would every process that a test interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def assets() -> Path:
    folder = os.environ.get("MECHBOARD_ASSETS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MECHBOARD_ASSETS is not set: real models and data are not checked")
    return Path(folder)


@pytest.fixture
def stories(assets) -> Path:
    folder = assets / "stories260K"
    if not folder.is_dir():
        pytest.skip(f"no stories260K in {assets}")
    return folder


@pytest.fixture(scope="session")
def browser():
    """The system's Chromium by path (MECHBOARD_CHROMIUM, or one on PATH); skipped, visibly, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    named = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("MECHBOARD_CHROMIUM") or next(filter(None, map(shutil.which, named)), None)
    if path is None:
        pytest.skip("no Chromium on PATH: the page is not tested in a browser")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=flags)
        yield launched
        launched.close()
