"""Counters and gauges by their Prometheus names, kept in the process, read by the doors.

A signal is counted where it happens and costs one dictionary update; labels are few and bounded
(never a stream, never a payload).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

METRICS: Final[Mapping[str, str]] = {
    "goldseam_events_appended_total": "Events committed by this process.",
    "goldseam_appends_replayed_total": "Appends answered with their first result (a safe retry).",
    "goldseam_append_conflicts_total": "Appends refused because the stream had moved on.",
    "goldseam_append_batches_total": "Group commits sent to the database.",
    "goldseam_commit_unknown_total": "Commits whose answer was lost; each is resolved by a retry.",
    "goldseam_fenced_writes_total": "Appends refused for a stale fencing token.",
    "goldseam_idempotency_mismatches_total": "Keys or ids used again with another content.",
    "goldseam_rejected_events_total": "Events refused before the append: invalid or too large.",
    "goldseam_corrupt_events_total": "Events whose checksum, version or position did not hold.",
    "goldseam_refused_mutations_total": "UPDATE or DELETE of events seen by the verifier.",
    "goldseam_store_unavailable_total": "Calls that could not reach the database.",
    "goldseam_store_full_total": "Writes refused because the disk is full.",
    "goldseam_snapshots_ignored_total": "Snapshots not used: damaged, or of another schema.",
    "goldseam_follower_reconnects_total": "Times a live follower lost its notifications.",
    "goldseam_projection_lag_events": "Events the projection has not applied yet.",
    "goldseam_projection_lag_seconds": "Age of the oldest event not applied yet.",
    "goldseam_projection_applied_total": "Events applied by the projection.",
    "goldseam_projection_parked": "Events parked because their sequence is stopped.",
    "goldseam_projection_retries_total": "Attempts of a projection that failed and were repeated.",
    "goldseam_reads_behind_total": "Reads answered 503 because the read model was behind.",
    "goldseam_positions_refused_total": "Position tokens refused as forged, future or foreign.",
    "goldseam_upcasts_failed_total": "Events held because an upcaster or their class refused them.",
    "goldseam_fields_dropped_total": "Sampled events with fields that their class does not know.",
    "goldseam_schema_rejections_total": "Events refused because they do not fit their schema.",
    "goldseam_schema_incompatible_total": "Schemas refused as incompatible with earlier versions.",
    "goldseam_migration_events_total": "Events copied by a store migration.",
    "goldseam_healings_total": "Corrections appended.",
    "goldseam_heal_refusals_total": "Corrections refused.",
    "goldseam_subjects_forgotten_total": "Subjects whose keys were destroyed.",
    "goldseam_erasures_incomplete_total": "Erasures that stopped half way; resume them.",
    "goldseam_key_store_unavailable_total": "Personal events refused: the keys were out of reach.",
    "goldseam_shredded_reads_total": "Personal fields read as stand-ins for the forgotten.",
    "goldseam_epoch_rotations_total": "Epoch keys replaced and destroyed.",
    "goldseam_outbox_pending": "Events of the log or the outbox that are not relayed yet.",
    "goldseam_outbox_oldest_seconds": "Age of the oldest event that is not relayed yet.",
    "goldseam_outbox_published_total": "Records that a broker has acknowledged to a relay.",
    "goldseam_relay_retries_total": "Batches that a relay had to send again.",
    "goldseam_relay_fenced_total": "Checkpoints refused because another relay took the shard.",
    "goldseam_breaker_state": "Circuit breaker: 0 closed, 1 half-open, 2 open.",
    "goldseam_breaker_opened_total": "Times a circuit breaker opened.",
    "goldseam_buffer_bytes": "Bytes that wait in the local buffer.",
    "goldseam_buffer_bytes_limit": "Bytes that the local buffer may hold.",
    "goldseam_buffer_oldest_seconds": "Age of the oldest record in the local buffer.",
    "goldseam_buffer_refused_total": "Records refused because the local buffer is full.",
    "goldseam_broker_unreachable_total": "Calls that could not reach enough of the broker.",
    "goldseam_topic_gaps_filled_total": "Events read from the store that no topic held.",
    "goldseam_consumer_applied_total": "Records that a consumer has applied.",
    "goldseam_consumer_duplicates_total": "Deliveries recognised as already applied.",
    "goldseam_consumer_retries_total": "Batches of a consumer that failed and were repeated.",
    "goldseam_consumer_lag_events": "Records that a consumer has not applied yet.",
    "goldseam_consumer_lag_seconds": "Age of the oldest record that is not applied yet.",
    "goldseam_consumer_catch_up_seconds": "Time to catch up at the present rates.",
    "goldseam_consumer_fenced_total": "Batches refused because their partition had moved.",
    "goldseam_consumer_rebalances_total": "Times partitions were assigned to a member.",
    "goldseam_consumer_paused_partitions": "Partitions paused by back-pressure.",
    "goldseam_dead_letters": "Records that wait in the dead letters.",
    "goldseam_dead_lettered_total": "Records parked in the dead letters.",
    "goldseam_dead_letters_redriven_total": "Dead letters that were applied after all.",
    "goldseam_dead_letters_quarantined_total": "Dead letters that failed redrive too often.",
    "goldseam_ledger_missing": "Events owed to a topic or consumer that are not there.",
    "goldseam_ledger_doubled": "Events that a topic or consumer has more than once.",
    "goldseam_broker_findings": "What the last broker check has found, by severity.",
    "goldseam_broker_days_until_full": "Days until a broker's disk is full at the present rate.",
    "goldseam_sagas_started_total": "Sagas begun.",
    "goldseam_sagas_ended_total": "Sagas that have ended, completed or compensated.",
    "goldseam_sagas_parked_total": "Sagas whose compensation failed for good; a human is needed.",
    "goldseam_saga_step_failures_total": "Attempts at a step or compensation that failed.",
    "goldseam_saga_timer_late_seconds": "How late the last due saga was taken up.",
    "goldseam_sagas_open": "Sagas that are under way.",
    "goldseam_sagas_parked": "Sagas that are parked.",
    "goldseam_sagas_undefined": "Open sagas whose definition this program does not have.",
    "goldseam_flows_overdue": "Choreographed flows that should have ended by now.",
    "goldseam_event_names_flagged_total": "Event names the litmus test has flagged.",
}

Labels = tuple[tuple[str, str], ...]


class Signals:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add ``amount`` to a counter."""
        key = name, tuple(sorted(labels.items())) if labels else ()
        self._values[key] = self._values.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._values[name, tuple(sorted(labels.items()))] = value

    def value(self, name: str, **labels: str) -> float:
        """The current value, 0 when nothing was counted."""
        return self._values.get((name, tuple(sorted(labels.items()))), 0)

    def __iter__(self) -> Iterator[tuple[str, Labels, float]]:
        for (name, labels), value in sorted(self._values.items()):
            yield name, labels, value

    def exposition(self) -> str:
        """All metrics in the Prometheus text format."""
        lines: list[str] = []
        by_name: dict[str, list[tuple[Labels, float]]] = {name: [] for name in METRICS}
        for name, labels, value in self:
            by_name.setdefault(name, []).append((labels, value))
        for name, help_text in METRICS.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_shown(labels)} {value:g}" for labels, value in by_name[name]]
        return "\n".join(lines) + "\n"


def _shown(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)
    return "{" + pairs + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


signals = Signals()
"""The process's own signals."""
