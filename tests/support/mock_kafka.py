"""Three Kafka brokers inside this process: librdkafka's mock cluster, and the faults it can play.

The cluster hangs on a producer that is kept alive. What Python's client does not offer (a broker
down, an answer that is an error) is asked of the bundled library itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

BROKERS = 3
PRODUCE = 0
"""Kafka's number of the request that stores records."""

_TEXT_BYTES = 512
_PRODUCER = 0


def _library() -> ctypes.CDLL:
    spec = find_spec("confluent_kafka")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent.parent / "confluent_kafka.libs"
    return ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", handle, ()),
        ("rd_kafka_conf_set", number, (handle, text, text, text, ctypes.c_size_t)),
        ("rd_kafka_new", handle, (number, handle, text, ctypes.c_size_t)),
        ("rd_kafka_destroy", None, (handle,)),
        ("rd_kafka_handle_mock_cluster", handle, (handle,)),
        ("rd_kafka_mock_cluster_bootstraps", text, (handle,)),
        ("rd_kafka_mock_topic_create", number, (handle, text, number, number)),
        ("rd_kafka_mock_broker_set_down", number, (handle, ctypes.c_int32)),
        ("rd_kafka_mock_broker_set_up", number, (handle, ctypes.c_int32)),
        ("rd_kafka_mock_broker_set_rtt", number, (handle, ctypes.c_int32, number)),
        (
            "rd_kafka_mock_partition_set_leader",
            number,
            (handle, text, ctypes.c_int32, ctypes.c_int32),
        ),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    push = library.rd_kafka_mock_push_request_errors_array
    push.restype = None
    push.argtypes = (handle, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number))
    return library


class MockKafka:
    """The cluster; brokers are numbered from 1."""

    def __init__(self, library: ctypes.CDLL, cluster: int) -> None:
        self._library, self._cluster = library, cluster
        self.bootstrap: str = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()

    @property
    def url(self) -> str:
        """What ``open_broker`` takes."""
        return f"kafka://{self.bootstrap}"

    def create(self, topic: str, partitions: int = 1) -> None:
        """A topic with a copy on each broker."""
        self._done(
            self._library.rd_kafka_mock_topic_create(
                self._cluster, topic.encode(), partitions, BROKERS
            )
        )

    def down(self, *brokers: int) -> None:
        """These (all, when none is named) refuse connections."""
        for number in brokers or range(1, BROKERS + 1):
            self._done(self._library.rd_kafka_mock_broker_set_down(self._cluster, number))

    def up(self, *brokers: int) -> None:
        """These (all, when none is named) answer again."""
        for number in brokers or range(1, BROKERS + 1):
            self._done(self._library.rd_kafka_mock_broker_set_up(self._cluster, number))

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """Move the leadership of a partition."""
        self._done(
            self._library.rd_kafka_mock_partition_set_leader(
                self._cluster, topic.encode(), partition, broker
            )
        )

    def slow(self, broker: int, milliseconds: int) -> None:
        """The broker answers so much later."""
        self._done(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, broker, milliseconds))

    def answer_with(self, request: int, *errors: int) -> None:
        """The next requests of this kind are answered with these errors, and not carried out."""
        codes = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, request, len(errors), codes
        )

    @staticmethod
    def _done(code: int) -> None:
        if code:
            raise RuntimeError(f"the mock cluster answered with error {code}")


@contextmanager
def mock_kafka() -> Iterator[MockKafka]:
    """A cluster of three brokers that ends with the block."""
    library = _declared(_library())
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    settings = library.rd_kafka_conf_new()
    for name, value in ((b"test.mock.num.brokers", str(BROKERS).encode()), (b"log_level", b"0")):
        if library.rd_kafka_conf_set(settings, name, value, text, _TEXT_BYTES):
            raise RuntimeError(text.value.decode())
    client = library.rd_kafka_new(_PRODUCER, settings, text, _TEXT_BYTES)
    if not client:
        raise RuntimeError(text.value.decode())
    try:
        yield MockKafka(library, library.rd_kafka_handle_mock_cluster(client))
    finally:
        library.rd_kafka_destroy(client)
