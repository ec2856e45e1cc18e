"""Each fault on each SQS action, and kill -9 at random moments; ``make faults`` runs all of it, CI a slice."""
