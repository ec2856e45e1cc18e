"""What a load balancer and an operator ask; plain Django, open to everybody, without data in the answer."""

from __future__ import annotations
