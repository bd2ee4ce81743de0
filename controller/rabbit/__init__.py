"""RabbitMQ: the only folder that knows AMQP. ``topology`` declares, ``link`` keeps a connection, the rest uses it."""
