"""Talks to an OpenID Connect provider: discovery, the authorisation code with PKCE, and the id_token's signature and claims."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from command_center.access.oidc import OidcConfig
from command_center.errors import Forbidden, Unavailable
from devices.clock import Clock

TIMEOUT_S = 10.0
LEEWAY_S = 60
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]  # never `none`, never one with a shared secret


class OidcProvider:
    """Implements `command_center.api.deps.Oidc`. What the provider says of itself is fetched once, its keys when one is unknown."""

    def __init__(
        self, config: OidcConfig, client_secret: str, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.config = config
        self._secret, self._clock, self._transport = client_secret, clock, transport
        self._metadata: Mapping[str, Any] | None = None
        self._keys: KeySet | None = None
        self._lock = asyncio.Lock()

    async def authorization_url(self, *, state: str, nonce: str, challenge: str) -> str:
        """Where the browser goes to log in. Raises Unavailable when the provider does not answer."""
        metadata = await self._discovered()
        query = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": self.config.redirect_uri,
            "scope": "openid profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{metadata['authorization_endpoint']}?{urlencode(query)}"

    async def claims(self, *, code: str, verifier: str, nonce: str) -> Mapping[str, Any]:
        """The claims of the id_token that the code is worth, checked. Raises Forbidden, Unavailable."""
        metadata = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.config.redirect_uri,
            "client_id": self.config.client_id,
            "code_verifier": verifier,
        }
        if self._secret:
            form["client_secret"] = self._secret
        answer = await self._request("POST", str(metadata["token_endpoint"]), data=form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Forbidden(
                "oidc", "log in", f"the provider gave no id_token: {answer.get('error', 'no reason given')}"
            )
        return await self._checked(token, nonce)

    async def _checked(self, token: str, nonce: str) -> Mapping[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            now=self._clock.machine_us() // 1_000_000,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.config.issuer},
            aud={"essential": True, "value": self.config.client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            try:
                found = jwt.decode(token, await self._key_set(), algorithms=ALGORITHMS)
            except (JoseError, ValueError):
                found = jwt.decode(token, await self._key_set(again=True), algorithms=ALGORITHMS)  # keys rotate
            registry.validate(found.claims)
        except (JoseError, ValueError) as error:
            raise Forbidden("oidc", "log in", f"the provider's id_token does not hold: {error}") from error
        return found.claims

    async def _discovered(self) -> Mapping[str, Any]:
        async with self._lock:
            if self._metadata is None:
                url = f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = await self._request("GET", url)
                if found.get("issuer") != self.config.issuer:
                    raise Unavailable(f"the provider calls itself {found.get('issuer')!r}, not {self.config.issuer!r}")
                self._metadata = found
            return self._metadata

    async def _key_set(self, *, again: bool = False) -> KeySet:
        metadata = await self._discovered()
        if self._keys is None or again:
            self._keys = KeySet.import_key_set(await self._request("GET", str(metadata["jwks_uri"])))  # type: ignore[arg-type]
        return self._keys

    async def _request(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, transport=self._transport) as client:
                answer = await client.request(method, url, **options)
                found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"the identity provider does not answer: {error}") from error
        if answer.status_code >= 500 or not isinstance(found, dict):
            raise Unavailable(f"the identity provider answered {answer.status_code}")
        return found
