"""The whole road with real parts: made-up phones, HTTP, SQS, Celery workers, PostgreSQL, and a judge at the end."""
