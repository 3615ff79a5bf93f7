"""Private services on a bare machine: RabbitMQ, PostgreSQL, certificates and the demo stack, without docker."""
