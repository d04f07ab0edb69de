"""The servers that `citybrain up` brings along: a private PostgreSQL and a private MQTT broker (contract.md 3 and 5)."""
