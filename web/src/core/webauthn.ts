/** Security keys in the browser: options and answers travel as JSON with base64url, the browser wants bytes. */

export interface KeyOptions {
  challenge: string;
  timeout?: number;
  rp?: { name: string; id: string };
  user?: { id: string; name: string; displayName: string };
  pubKeyCredParams?: PublicKeyCredentialParameters[];
  excludeCredentials?: { id: string; type: "public-key" }[];
  authenticatorSelection?: AuthenticatorSelectionCriteria;
  attestation?: AttestationConveyancePreference;
  rpId?: string;
  allowCredentials?: { id: string; type: "public-key" }[];
  userVerification?: UserVerificationRequirement;
}

export interface KeyAnswer {
  id: string;
  rawId: string;
  type: string;
  response: Record<string, string>;
  clientExtensionResults: Record<string, never>;
}

/** Whether this browser and this address can: HTTPS or localhost, and a host name rather than an address. */
export function canUseKeys(place: Pick<Location, "hostname"> = location): boolean {
  const named = !/^[\d.]+$/.test(place.hostname) && !place.hostname.includes(":");
  return named && typeof window !== "undefined" && window.isSecureContext && typeof window.PublicKeyCredential === "function";
}

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

export function textOf(bytes: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

const named = (list: KeyOptions["allowCredentials"]): PublicKeyCredentialDescriptor[] => (list ?? []).map((one) => ({ id: bytesOf(one.id), type: one.type }));

/** A new key for these options. Rejects when the person declines. */
export async function createKey(options: KeyOptions): Promise<KeyAnswer> {
  const { rp, user, pubKeyCredParams } = options;
  if (rp === undefined || user === undefined || pubKeyCredParams === undefined) throw new Error("options of a new key lack rp, user or pubKeyCredParams");
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: bytesOf(options.challenge),
      rp,
      user: { ...user, id: bytesOf(user.id) },
      pubKeyCredParams,
      excludeCredentials: named(options.excludeCredentials),
      ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
      ...(options.authenticatorSelection === undefined ? {} : { authenticatorSelection: options.authenticatorSelection }),
      attestation: options.attestation ?? "none",
    },
  });
  const credential = made as PublicKeyCredential;
  const response = credential.response as AuthenticatorAttestationResponse;
  return answer(credential, { clientDataJSON: textOf(response.clientDataJSON), attestationObject: textOf(response.attestationObject) });
}

/** What a key answers to these options. Rejects when the person declines or no key fits. */
export async function askKey(options: KeyOptions): Promise<KeyAnswer> {
  const given = await navigator.credentials.get({
    publicKey: {
      challenge: bytesOf(options.challenge),
      ...(options.rpId === undefined ? {} : { rpId: options.rpId }),
      ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
      allowCredentials: named(options.allowCredentials),
      userVerification: options.userVerification ?? "preferred",
    },
  });
  const credential = given as PublicKeyCredential;
  const response = credential.response as AuthenticatorAssertionResponse;
  return answer(credential, { clientDataJSON: textOf(response.clientDataJSON), authenticatorData: textOf(response.authenticatorData), signature: textOf(response.signature) });
}

function answer(credential: PublicKeyCredential, response: Record<string, string>): KeyAnswer {
  return { id: credential.id, rawId: textOf(credential.rawId), type: credential.type, response, clientExtensionResults: {} };
}
