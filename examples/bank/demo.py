"""``make demo``: the bank under real traffic, broken on purpose, and the proof of no loss.

The bank runs as a process of its own on an embedded SQLite store and is spoken to over HTTP only.
At the end its files are opened with plain SQL: acknowledged = stored = projected, or exit 1.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.bank import years_ago
from examples.bank.client import BankClient, Reply
from examples.bank.ledger import Acknowledged, Ledger, balance
from examples.bank.traffic import ACCOUNTS, CLIENTS, Bank, Customers

FOLDER = Path("demo")
DEPOSITS_BEFORE = 40
KILL_AFTER_WRITES = 120


def main() -> None:
    """Run the whole story; exit 1 when the ledger does not balance."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    bank = Bank(FOLDER)
    say(f"A bank on sqlite:///{bank.path}, spoken to over HTTP on port {bank.port}.")
    customers = Customers(bank.port)
    two_years_ago(bank, customers)
    bank.start()
    try:
        for chapter in CHAPTERS:
            chapter(bank, customers)
        settled = settle(bank)
    finally:
        bank.stop()
    ledger = balance(bank.path, customers.acknowledged)
    show(ledger, customers, settled)
    verified = verify(bank)
    sys.exit(1 if ledger.problems or ledger.missing_positions or not verified else 0)


def two_years_ago(bank: Bank, customers: Customers) -> None:
    """The log begins with what older versions of the bank wrote."""
    written = asyncio.run(years_ago.write(f"sqlite:///{bank.path}"))
    for position, cents in written:
        customers.acknowledged.append(
            Acknowledged(years_ago.ACCOUNT, "DepositApplied", cents, position)
        )
    say(f"Two years ago: {len(written)} deposits written by versions 1 (amount) and 2 (amount, "
        "currency) of the event; today's class is version 3 (totalAmount, currency).")  # fmt: skip


def read_the_old_years(bank: Bank, customers: Customers) -> None:
    """Old events are read through upcasters; a new deposit stands beside them."""
    client = BankClient(bank.port)
    done = client.post(f"/accounts/{years_ago.ACCOUNT}/deposit", {"amount": 500})
    customers.note(done, years_ago.ACCOUNT, "DepositApplied", 500)
    path = f"/accounts/{years_ago.ACCOUNT}?after={done.body['position']}"
    seen = client.get(path, Prefer="wait=20")
    mine = [one for one in customers.acknowledged if one.account == years_ago.ACCOUNT]
    cents = sum(one.amount for one in mine)
    expect(seen.status == 200 and seen.body["balance"] == cents, "old deposits must count", seen)
    say(f"Versions: {seen.body['movements']} deposits of three versions make {cents} cents; the "
        "40 old events were not touched.")  # fmt: skip


def heal_a_deposit(bank: Bank, customers: Customers) -> None:
    """A wrong deposit is corrected by another event, after a look at what would change."""
    client = BankClient(bank.port)
    wrong = client.post("/accounts/account-3/deposit", {"amount": 50})
    customers.note(wrong, "account-3", "DepositApplied", 50)
    event = client.get(f"/store/streams/account-3?after={wrong.body['version'] - 1}").body[
        "events"
    ][0]
    order = {
        "eventId": event["id"], "set": {"total_amount": 100}, "reason": "Data entry error",
        "ticket": "JIRA-567", "correctedBy": "admin-1",
    }  # fmt: skip
    look = client.post("/heal", {**order, "dryRun": True})
    expect(look.status == 200, "a dry run must answer 200", look)
    before = client.get(f"/accounts/account-3?after={wrong.body['position']}", Prefer="wait=20")
    done = client.post("/heal", order)
    expect(done.status == 201, "a healing must answer 201", done)
    customers.note(done_reply(done), "account-3", "DepositCorrected", 50)
    again = client.post("/heal", {**order, "set": {"total_amount": 101}})
    expect(again.status == 409, "what is corrected already must be refused", again)
    wanted = before.body["balance"] + 50
    wait_until(lambda: client.get("/accounts/account-3").body["balance"] == wanted)
    say(f"Healing: deposit {event['id'][:13]}... said 50, DepositCorrected (JIRA-567) says 100; "
        f"account-3 went from {before.body['balance']} to {wanted} cents; a second correction by "
        "somebody else got 409.")  # fmt: skip


def forget_a_customer(bank: Bank, _: Customers) -> None:
    """Somebody asks to be forgotten: their key is destroyed, their events stay."""
    client = BankClient(bank.port)
    for n in range(3):
        who = {"name": f"Marker Customer {n}", "born": f"198{n}-05-06"}
        reply = client.post(f"/customers/customer-{n}", who)
        expect(reply.status == 201, "a customer must be introduced", reply)
    after = reply.body["position"]
    known = client.get(f"/customers/customer-1?after={after}", Prefer="wait=20")
    expect(known.body["name"] == "Marker Customer 1", "a customer must be known", known)
    done = client.post("/privacy/forget", {"subjects": ["customer-1"], "reason": "asked for it"})
    expect(done.status == 200, "forgetting must be answered", done)
    wait_until(lambda: client.get("/customers/customer-1").body["name"] == "[forgotten]")
    gone, kept = client.get("/customers/customer-1").body, client.get("/customers/customer-2").body
    again = client.post("/customers/customer-1", {"name": "Back again", "born": "1981-05-06"})
    expect(again.status >= 400, "an append about the forgotten must be refused", again)
    say(f"Forgetting: customer-1 is {gone['name']} (born {gone['born']}) now, customer-2 is still "
        f"{kept['name']!r}; a new event about customer-1 gets {again.status}.")  # fmt: skip


def done_reply(reply: Reply) -> Reply:
    """A healing's answer in the words of a command's."""
    return reply._replace(body={"replayed": False, **reply.body})


def open_accounts(bank: Bank, customers: Customers) -> None:
    """Accounts are opened, money comes in."""
    client = BankClient(bank.port)
    for n in range(ACCOUNTS):
        reply = client.post(f"/accounts/account-{n}/open", {"owner": f"customer {n}"})
        customers.note(reply, f"account-{n}", "AccountOpened", 0)
    for thread in customers.crowd(DEPOSITS_BEFORE):
        thread.join()
    say(
        f"{ACCOUNTS} accounts opened; {len(customers.acknowledged) - ACCOUNTS} deposits and "
        f"withdrawals by {CLIENTS} clients at once, {customers.refused} refused for lack of money."
    )


def conflict(bank: Bank, customers: Customers) -> None:
    """Two tellers decide on the same version; the second is told."""
    client = BankClient(bank.port)
    version = client.post("/accounts/account-0/deposit", {"amount": 100})
    customers.note(version, "account-0", "DepositApplied", 100)
    etag = version.headers["etag"]
    first = client.post("/accounts/account-0/deposit", {"amount": 10}, If_Match=etag)
    customers.note(first, "account-0", "DepositApplied", 10)
    second = client.post("/accounts/account-0/deposit", {"amount": 20}, If_Match=etag)
    expect(first.status == 201 and second.status == 412, "a conflict must be 412", second)
    say(f"Conflict: both had seen version {etag}; the first got 201, the second 412: "
        f"{second.body['detail']}")  # fmt: skip


def retry(bank: Bank, customers: Customers) -> None:
    """The same request twice: one deposit, one answer."""
    client, key = BankClient(bank.port), f'"{uuid.uuid4()}"'
    first = client.post("/accounts/account-1/deposit", {"amount": 777}, Idempotency_Key=key)
    again = client.post("/accounts/account-1/deposit", {"amount": 777}, Idempotency_Key=key)
    other = client.post("/accounts/account-1/deposit", {"amount": 778}, Idempotency_Key=key)
    customers.note(first, "account-1", "DepositApplied", 777)
    expect(first.body["position"] == again.body["position"], "a retry must be replayed", again)
    expect(other.status == 422, "another request under the same key must be 422", other)
    replayed = str(again.body["replayed"]).lower()
    say(
        f"Retry: the same key twice answers position {first.body['position']} twice "
        f"(replayed: {replayed}); another amount under it gets 422."
    )


def read_your_own_write(bank: Bank, customers: Customers) -> None:
    """A read that asks for its own write gets 503 until the read model is there."""
    client = BankClient(bank.port)
    client.post("/read-models/balances/pause")
    done = client.post("/accounts/account-2/deposit", {"amount": 4200})
    customers.note(done, "account-2", "DepositApplied", 4200)
    target = done.body["position"]
    early = client.get(f"/accounts/account-2?after={target}")
    expect(early.status == 503, "a read model that is behind must answer 503", early)
    say(f"Read your own write: GET ?after={target} while the read model stands still: 503, "
        f"Retry-After {early.headers['retry-after']} s, position {early.body['position']}, "
        f"target {early.body['target']}.")  # fmt: skip
    client.post("/read-models/balances/resume")
    late = client.get(f"/accounts/account-2?after={target}", Prefer="wait=10")
    expect(late.status == 200, "the read model must get there", late)
    say(f"    and when it goes on: 200, {late.body['account']} has {late.body['balance']} cents.")
    forged = client.get("/accounts/account-2?after=-5")
    expect(forged.status == 400, "a negative token must be 400", forged)


def rebuild(bank: Bank, customers: Customers) -> None:
    """The projection is built anew beside the live one, while writes go on."""
    client = BankClient(bank.port)
    before = len(customers.acknowledged)
    threads = customers.crowd(DEPOSITS_BEFORE)
    answer = client.post("/read-models/balances/rebuild")
    expect(answer.status == 202, "a rebuild must be accepted", answer)
    reads = 0
    while client.get("/read-models").body["balances"]["rebuilding"]:
        expect(client.get("/accounts/account-0").status == 200, "reads must go on", None)
        reads += 1
    for thread in threads:
        thread.join()
    status = client.get("/read-models").body["balances"]
    say(f"Rebuild: the balances were built anew beside the live ones (colour {status['colour']} "
        f"now) while {len(customers.acknowledged) - before} writes were stored and {reads} reads "
        "answered.")  # fmt: skip


def kill(bank: Bank, customers: Customers) -> None:
    """SIGKILL in the middle of the traffic, and a new start."""
    before, stop = len(customers.acknowledged), threading.Event()
    threads = customers.crowd(10_000, stop)
    wait_until(lambda: len(customers.acknowledged) >= before + KILL_AFTER_WRITES)
    bank.kill()
    at_kill = len(customers.acknowledged)
    seconds = bank.start()
    wait_until(lambda: len(customers.acknowledged) >= at_kill + KILL_AFTER_WRITES)
    stop.set()
    for thread in threads:
        thread.join()
    say(f"SIGKILL after {at_kill - before} more writes; the bank answers again after "
        f"{seconds:.2f} s; {customers.repeated} requests had no answer and were repeated with "
        f"their keys, {customers.replayed} of them had been stored before the kill.")  # fmt: skip


CHAPTERS = (
    open_accounts,
    read_the_old_years,
    conflict,
    retry,
    read_your_own_write,
    rebuild,
    heal_a_deposit,
    forget_a_customer,
    kill,
)


def settle(bank: Bank) -> int:
    """Wait until the read model has applied everything; the position it stands at."""
    client = BankClient(bank.port)
    head = client.get("/read-models").body["head"]
    reply = client.get(f"/accounts?after={head}", Prefer="wait=20")
    expect(reply.status == 200, "the read model must catch up", reply)
    return int(head)


def verify(bank: Bank) -> bool:
    """``goldseam store verify`` on the file that was killed under load."""
    command = [sys.executable, "-m", "goldseam", "store", "verify", "--json"]
    done = subprocess.run(
        [*command, "--store", f"sqlite:///{bank.path}"], capture_output=True, check=False
    )
    report = json.loads(done.stdout or b"{}")
    say(f"goldseam store verify: {report.get('events', 0)} events, {report.get('streams', 0)} "
        f"hash chains, {report.get('damaged', 'unknown')} damaged.")  # fmt: skip
    return done.returncode == 0


def show(ledger: Ledger, customers: Customers, settled: int) -> None:
    """Print the ledger."""
    rows = (
        ("acknowledged to clients (201)", ledger.acknowledged, ledger.acknowledged_cents),
        ("stored in the log", ledger.stored, ledger.stored_cents),
        ("projected into balances", ledger.projected, ledger.projected_cents),
    )
    sys.stdout.write(f"\n{'THE LEDGER, by plain SQL':34}{'movements':>12}{'sum in cents':>16}\n")
    for name, movements, cents in rows:
        sys.stdout.write(f"{name:34}{movements:>12,}{cents:>16,}\n")
    sys.stdout.write(
        f"positions 1 to {settled:,}: {ledger.positions:,} events, "
        f"{ledger.missing_positions} missing;"
        f" {customers.refused} commands refused by the bank's own rules\n"
    )
    for problem in ledger.problems:
        sys.stdout.write(f"PROBLEM {problem}\n")
    verdict = (
        "does NOT balance" if ledger.problems else "balances: acknowledged = stored = projected"
    )
    sys.stdout.write(f"The ledger {verdict}.\n\n")
    say(f"Look at it in a browser:  .venv/bin/python -m examples.bank serve sqlite:///{FOLDER}/bank.db"
        "\n  then open http://127.0.0.1:8400/")  # fmt: skip


def say(text: str) -> None:
    """One line of the story."""
    sys.stdout.write(f"- {text}\n")
    sys.stdout.flush()


def expect(holds: bool, claim: str, reply: Reply | None) -> None:
    """End the demo loudly when the bank does not do what it promises."""
    if not holds:
        sys.exit(f"BROKEN PROMISE: {claim}; the bank said {reply}")


def wait_until(ready: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for ``ready``; give up loudly."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            sys.exit("BROKEN PROMISE: the bank did not go on in time; see demo/bank.log")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
