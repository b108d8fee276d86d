"""Settings for every test of the repository."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A deadline per example would make a slow machine fail a correct test; a failure prints what replays it.
settings.register_profile("anywire", deadline=None, print_blob=True)
settings.load_profile("anywire")

# What a shell without job control starts in the background ignores SIGINT, and so do its children: tests send them it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def _light_heap() -> Iterator[None]:
    """Tests that look for leaks collect garbage after each test; what other modules left alive need not be walked."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


CASES = "conformance/tests/test_cases.py"
# What takes longest comes first, so that no worker is left alone with it at the end.
LONG_FILES = (
    CASES,
    "conformance/tests/test_third_party.py",
    "conformance/tests/test_cancel_sweep.py",
    "conformance/tests/test_goldens.py",
    "conformance/tests/test_streaming.py",
    "backend-gevent/tests/test_in_children.py",
    "packages/anywire/tests/test_demo.py",
    "packages/anywire/tests/test_serve.py",
)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return Files(config, log)


class Files(LoadScopeScheduling):  # type: ignore[misc]  # which has no types
    """A worker takes whole files, for the tests of one share what it set up; of the cases, those of one backend."""

    def schedule(self) -> None:
        self.config.option.loadscopereorder = False
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return file + test.partition("-")[0] if file == CASES else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {file: place for place, file in enumerate(LONG_FILES)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))
