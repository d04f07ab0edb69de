"""The sealer of personal data, from the tenant's secrets."""

from __future__ import annotations

import base64

from command_center.access.personal import Sealer
from runtime.secrets import ServiceSecrets


def sealer_of(secrets: ServiceSecrets) -> Sealer:
    """Raises ValueError for a key that is not 32 bytes, or a current one that is not there."""
    keys = {name: base64.b64decode(text) for name, text in secrets.personal_keys.items()}
    return Sealer(keys, secrets.personal_current)
