"""RabbitMQ: connections, topology, consumer, publisher and the tolerant property codec."""
