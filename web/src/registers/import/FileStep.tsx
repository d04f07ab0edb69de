/** Which register, its empty sheet, and the file. */

import { useEffect, useRef, useState } from "preact/hooks";
import { explain, own, t, word } from "../../core/i18n";
import { Tag } from "../../office/Badge";
import { Failure } from "../../office/Dialog";
import { Labelled } from "../../office/Labelled";
import { refusalOf } from "../../office/problems";
import { saveAs } from "../../office/save";
import type { Office } from "../../office/session";
import { toast } from "../../office/toast";
import type { Registers } from "../data";
import { groupsOf } from "../Kinds";
import { dayTime } from "../marks";
import { go } from "../route";
import type { DryRun, Kind, PastImport } from "../types";
import { AUTO, CRS_CHOICES } from "./crs";
import { otherKind, othersFor } from "./others";

export const ACCEPTED = ".xlsx,.csv,.geojson,.json,.gpkg,.zip,.yaml,.yml";
const MOST_BYTES = 32 * 1024 * 1024; // the server takes no more
const size = (bytes: number): string => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

export function FileStep({ office, registers, kind: named, onStarted }: { office: Office; registers: Registers; kind: string; onStarted: (run: DryRun, kind: Kind) => void }) {
  const writable = [...registers.kinds.filter((kind) => kind.may_write), ...othersFor(office.user)];
  const kind = writable.find((candidate) => candidate.kind === named);
  const [crs, setCrs] = useState(AUTO);
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState("");
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);

  const send = async (file: File | undefined): Promise<void> => {
    if (file === undefined || kind === undefined || busy !== "") return;
    if (file.size > MOST_BYTES) return setProblem(t("reg.fileTooLarge", { n: size(file.size), most: size(MOST_BYTES) }));
    if (file.size === 0) return setProblem(t("reg.fileEmpty"));
    setBusy(file.name);
    setProblem("");
    try {
      const parts = new URLSearchParams({ kind: kind.kind, filename: file.name, ...(kind.located === "no" ? {} : { crs }) });
      onStarted(await office.api.upload<DryRun>(`/api/v1/imports?${parts}`, file), kind);
    } catch (error) {
      const refusal = refusalOf(error);
      setProblem([refusal.summary, ...refusal.other].join("\n"));
    } finally {
      setBusy("");
      if (input.current !== null) input.current.value = ""; // the same file may be chosen again after it was mended
    }
  };
  const template = (): void => {
    if (kind === undefined) return;
    office.api.download(`/api/v1/registers/${encodeURIComponent(kind.kind)}/template.xlsx`).then(
      ({ blob, filename }) => saveAs(blob, filename),
      (error: unknown) => toast(explain(error), "bad"),
    );
  };
  return (
    <div class="wizard-body file-step">
      <div class="stack">
        <div class="file-cards">
          <section class="card">
            <h2>
              <b>1</b> {t("reg.chooseKind")}
            </h2>
            <Labelled label={t("reg.whatIsIn")} id="import-kind">
              <select id="import-kind" value={kind?.kind ?? ""} data-testid="import-kind" onChange={(event) => go({ view: "import", kind: event.currentTarget.value }, true)}>
                <option value="">{t("reg.choose")}</option>
                {groupsOf(writable).map(([group, members]) => (
                  <optgroup key={group} label={word("regGroup", group)}>
                    {members.map((candidate) => (
                      <option key={candidate.kind} value={candidate.kind}>
                        {own(candidate.zh, candidate.en)}
                      </option>
                    ))}
                  </optgroup>
                ))}
              </select>
            </Labelled>
            <p class="hint">{t("reg.templateHelp")}</p>
            <button type="button" class="button" disabled={kind === undefined} onClick={template} data-testid="template">
              ⇩ {t("reg.template")}
            </button>
          </section>
          <section class="card">
            <h2>
              <b>2</b> {t("reg.sayCrs")}
            </h2>
            {kind?.located === "no" ? (
              <p class="hint">{t("reg.noPositions")}</p>
            ) : (
              <>
                <Labelled label={t("reg.whereFrom")} id="import-crs">
                  <select id="import-crs" value={crs} data-testid="import-crs" onChange={(event) => setCrs(event.currentTarget.value)}>
                    {CRS_CHOICES.map((choice) => (
                      <option key={choice.value} value={choice.value}>
                        {t(choice.key)}
                      </option>
                    ))}
                  </select>
                </Labelled>
                <p class="hint">{t("reg.crsHelp")}</p>
              </>
            )}
          </section>
        </div>
        <div
          class={`drop${over ? " over" : ""}${kind === undefined ? " off" : ""}`}
          data-testid="drop"
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={(event) => {
            event.preventDefault();
            setOver(false);
            void send(event.dataTransfer?.files[0]);
          }}
        >
          <p class="drop-title">{busy !== "" ? t("reg.reading", { x: busy }) : kind === undefined ? t("reg.kindFirst") : t("reg.dropHere")}</p>
          <p class="hint">{t("reg.formats")}</p>
          <button type="button" class="button primary" disabled={kind === undefined || busy !== ""} onClick={() => input.current?.click()}>
            {busy === "" ? t("reg.pickFile") : t("office.busy")}
          </button>
          <input ref={input} type="file" class="sr" tabIndex={-1} accept={ACCEPTED} aria-label={t("reg.pickFile")} data-testid="import-file" disabled={kind === undefined} onChange={(event) => void send(event.currentTarget.files?.[0])} />
        </div>
        <Failure text={problem} />
        <p class="hint">{t("reg.nothingWritten")}</p>
      </div>
      <Recent office={office} registers={registers} />
    </div>
  );
}

function Recent({ office, registers }: { office: Office; registers: Registers }) {
  const [items, setItems] = useState<PastImport[] | null>(null);
  useEffect(() => {
    office.api.get<{ items: PastImport[] }>("/api/v1/imports").then(
      (answer) => setItems(answer.items),
      () => setItems([]), // the wizard works without the list of what was
    );
  }, [office]);
  return (
    <aside class="card recent">
      <h2>{t("reg.recent")}</h2>
      {items === null ? <p class="hint">{t("reg.loading")}</p> : null}
      {items !== null && items.length === 0 ? <p class="hint">{t("reg.noRecent")}</p> : null}
      <ul>
        {(items ?? []).slice(0, 12).map((item) => {
          const kind = registers.kind(item.kind) ?? otherKind(item.kind);
          return (
            <li key={item.import_id}>
              <b title={item.filename}>{item.filename}</b>
              <small>
                {kind === undefined ? item.kind : own(kind.zh, kind.en)}
                {` · ${dayTime(item.created_us)} · ${item.owner}`}
              </small>
              {item.state === "DRY" && item.owner === office.user.username ? (
                <button type="button" class="link" onClick={() => go({ view: "import", kind: item.kind, id: item.import_id, step: "check" })}>
                  {t("reg.goOn")}
                </button>
              ) : (
                <Tag kind={item.state === "COMMITTED" ? "good" : "plain"}>{word("regImport", item.state)}</Tag>
              )}
            </li>
          );
        })}
      </ul>
    </aside>
  );
}
