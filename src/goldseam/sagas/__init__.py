"""Transactions across services, without two-phase commit: every step has its compensation.

Read `saga.py` (what a saga is), `transitions.py` (what follows from what), `desk.py` (where it is
written), `runner.py` (who does it). Services that react to one another without a coordinator are
in `choreography.py`.
"""
