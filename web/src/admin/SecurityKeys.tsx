/** Security keys beside the codes of the second factor: add, name, remove. */

import { useState } from "preact/hooks";
import { explain, t } from "../core/i18n";
import { canUseKeys, createKey } from "../core/webauthn";
import type { KeyOptions } from "../core/webauthn";
import { useLoaded } from "../duty/data";
import { Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import type { Office } from "../office/session";
import { toast } from "../office/toast";

interface Key {
  key_id: string;
  name: string;
  rp_id: string;
  created_at: string;
  last_used_at: string | null;
}

const when = (iso: string): string => new Date(iso).toLocaleString("zh-CN", { dateStyle: "short", timeStyle: "short" });

export function SecurityKeys({ office }: { office: Office }) {
  const keys = useLoaded(() => office.api.get<{ items: Key[] }>("/api/v1/me/keys"), [office], null);
  const [name, setName] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const run = async (work: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      await work();
    } catch (error) {
      setProblem(error instanceof DOMException ? t("admin.keyDeclined") : explain(error));
    }
    setBusy(false);
    await keys.reload();
  };
  const add = (event: Event): void => {
    event.preventDefault();
    void run(async () => {
      const options = await office.api.post<KeyOptions>("/api/v1/me/keys/options", {});
      await office.api.post("/api/v1/me/keys", { name: name.trim(), credential: await createKey(options) });
      setName("");
      toast(t("admin.keyAdded"));
    });
  };
  const remove = (key: Key): void =>
    void run(async () => {
      await office.api.delete(`/api/v1/me/keys/${encodeURIComponent(key.key_id)}`);
      toast(t("admin.keyRemoved"));
    });
  const items = keys.value?.items ?? [];
  return (
    <section class="stack keys" aria-label={t("admin.securityKeys")} data-testid="security-keys">
      <h3>{t("admin.securityKeys")}</h3>
      <p class="dim">{t("admin.keysText")}</p>
      {items.length === 0 ? null : (
        <ul class="plain-list">
          {items.map((key) => (
            <li key={key.key_id} data-testid="security-key">
              <b>{key.name}</b>{" "}
              <span class="dim">
                {key.rp_id} · {t("admin.keySince", { at: when(key.created_at) })} · {key.last_used_at === null ? t("admin.keyUnused") : t("admin.keyUsed", { at: when(key.last_used_at) })}
              </span>{" "}
              <button type="button" class="button small danger-quiet" disabled={busy} onClick={() => remove(key)} data-testid="key-remove">
                {t("admin.keyRemove")}
              </button>
            </li>
          ))}
        </ul>
      )}
      <Failure text={problem || keys.problem} />
      {canUseKeys() ? (
        <form class="key-add" onSubmit={add}>
          <Labelled id="key-name" label={t("admin.keyName")} required>
            <input id="key-name" type="text" value={name} maxLength={60} required placeholder={t("admin.keyNameHint")} onInput={(event) => setName(event.currentTarget.value)} data-testid="key-name" />
          </Labelled>
          <button type="submit" class="button" disabled={busy || name.trim() === ""} data-testid="key-add">
            {t("admin.keyAdd")}
          </button>
        </form>
      ) : (
        <p class="dim">{t("admin.keysNotHere")}</p>
      )}
    </section>
  );
}
