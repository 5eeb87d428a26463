"""Messages of any kind: exchanges and queues that are nobody's events."""

from kombu import Exchange, Queue

from rpcnode.messaging import Publisher, consume
from rpcnode.rpc import rpc

READINGS = Exchange("readings", type="topic")
ALL_READINGS = Queue("readings.all", exchange=READINGS, routing_key="#")
ALARMS = Queue("readings.alarms", exchange=READINGS, routing_key="alarm.*")


class Sensors:
    name = "sensors"
    publish = Publisher(READINGS, declare=[ALL_READINGS, ALARMS])

    @rpc
    def measure(self, sensor, value):
        kind = "alarm" if value > 100 else "normal"
        self.publish(
            {"sensor": sensor, "value": value},
            routing_key=f"{kind}.{sensor}",
            headers={"unit": "celsius"},
            expiration=3600,
        )


class Archive:
    name = "archive"

    @consume(ALL_READINGS)
    def store(self, payload):
        return f"{payload['sensor']}: {payload['value']}"


class Alarm:
    name = "alarm"

    @consume(ALARMS, filter=lambda payload: payload["sensor"] != "test", max_workers=1)
    def ring(self, payload):
        return f"{payload['sensor']} is hot"
