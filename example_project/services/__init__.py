"""Real PostgreSQL, Valkey and SQS for the demo and the tests: from the environment, else wheels, else PATH."""
