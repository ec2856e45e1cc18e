"""What the package announces, always after the commit and by ``send_robust``: a receiver cannot undo an import."""

from __future__ import annotations

from django.dispatch import Signal

batch_accepted = Signal()
"""A batch and its chunks are committed. Arguments: ``batch`` (ImportBatch). The sender is ImportBatch."""

samples_changed = Signal()
"""One transaction changed a user's samples. Arguments: ``user_id``, ``batch_id`` (None outside an import), ``cause``
(``"import"``; ``"window"``: a complete window did not hold them; ``"deletion"``: the user deleted one here;
``"erasure"``, once at its end: ``removed`` is the sum of its steps, ``start`` and ``end`` are None, and ``identifiers``
are the erased types, or empty when everything was erased), ``identifiers`` (frozenset of type identifiers),
``start`` and ``end`` (aware datetimes around the samples concerned, or None when only deletions were received),
``inserted``, ``updated``, ``removed`` (row counts). The sender is HealthSample."""

batch_finished = Signal()
"""A batch reached COMPLETED or FAILED. Arguments: ``batch`` (ImportBatch). Sent at least once: sweep announces what a
crash left unannounced, so receivers are idempotent. The sender is ImportBatch."""
