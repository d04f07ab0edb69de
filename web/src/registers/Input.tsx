/** One input per type of field, made from the field's description. */

import { own, t } from "../core/i18n";
import type { Areas } from "../office/areas";
import { AreaPicker, Combo } from "../office/Combo";
import { Labelled } from "../office/Labelled";
import type { Registers } from "./data";
import type { Field } from "./types";
import type { FormRow, FormValue } from "./values";
import { isMasked, rowToForm } from "./values";

export interface InputContext {
  registers: Registers;
  areas: Areas;
  /** By key as the server writes it: `phone`, `tanks[2].un_number`. */
  errors: ReadonlyMap<string, string>;
  /** Reads the entry in clear; absent while there is nothing to read. */
  onClear?: (() => void) | undefined;
}

export interface InputProps {
  field: Field;
  value: FormValue;
  at?: string;
  context: InputContext;
  onChange: (value: FormValue) => void;
}

const WIDE = ["long_text", "rows", "refs"];

export function FieldInput({ field, value, context, onChange }: InputProps) {
  const masked = isMasked(value);
  const uom = field.uom === undefined || field.uom === "" ? null : <small class="uom">{field.uom}</small>;
  const show =
    masked && context.onClear !== undefined ? (
      <button type="button" class="link" onClick={context.onClear} data-testid={`clear-${field.key}`}>
        {t("reg.showClear")}
      </button>
    ) : null;
  return (
    <Labelled
      label={own(field.zh, field.en)}
      id={field.key}
      required={field.required === true}
      help={own(field.help_zh ?? "", field.help_en ?? "")}
      error={context.errors.get(field.key)}
      wide={WIDE.includes(field.type ?? "text")}
      aside={show ?? uom}
    >
      <Plain field={field} value={value} at={field.key} context={context} onChange={onChange} />
    </Labelled>
  );
}

/** The bare control, as it also stands in the cells of a table inside the entry. */
function Plain({ field, value, at = field.key, context, onChange }: InputProps) {
  const text = typeof value === "string" ? value : "";
  const common = { id: at, "data-testid": `input-${at}`, "aria-invalid": context.errors.has(at) };
  switch (field.type ?? "text") {
    case "long_text":
      return <textarea {...common} rows={3} value={text} placeholder={field.example} onInput={(event) => onChange(event.currentTarget.value)} />;
    case "number":
    case "integer":
      return <input {...common} type="text" inputMode="decimal" value={text} placeholder={field.example} onInput={(event) => onChange(event.currentTarget.value)} />;
    case "bool":
      return <YesNo {...common} value={typeof value === "boolean" ? value : null} onChange={onChange} />;
    case "date":
      return <input {...common} type="date" value={text} max="9999-12-31" onInput={(event) => onChange(event.currentTarget.value)} />;
    case "datetime":
      return <input {...common} type="datetime-local" value={text} max="9999-12-31T23:59" onInput={(event) => onChange(event.currentTarget.value)} />;
    case "choice":
      return (
        <select {...common} value={text} onChange={(event) => onChange(event.currentTarget.value)}>
          <option value="">{t("reg.choose")}</option>
          {(field.choices ?? []).map((choice) => (
            <option key={choice.value} value={choice.value}>
              {own(choice.zh, choice.en)}
            </option>
          ))}
        </select>
      );
    case "choices":
      return <Several field={field} value={value as string[]} at={at} context={context} onChange={onChange} />;
    case "phone":
      return <input {...common} type="tel" value={text} placeholder={field.example} autocomplete="off" onFocus={(event) => isMasked(text) && event.currentTarget.select()} onInput={(event) => onChange(event.currentTarget.value)} />;
    case "area":
      return <AreaPicker areas={context.areas} value={text} id={at} testid={`input-${at}`} onChange={onChange} />;
    case "ref":
      return <Reference field={field} value={text} at={at} context={context} onChange={onChange} />;
    case "refs":
      return <References field={field} value={value as string[]} at={at} context={context} onChange={onChange} />;
    case "rows":
      return <Rows field={field} value={value as FormRow[]} at={at} context={context} onChange={onChange} />;
    default:
      return <input {...common} type="text" value={text} placeholder={field.example} onFocus={(event) => isMasked(text) && event.currentTarget.select()} onInput={(event) => onChange(event.currentTarget.value)} />;
  }
}

function YesNo({ value, onChange, id, ...rest }: { value: boolean | null; onChange: (value: FormValue) => void; id: string; "data-testid": string }) {
  const shown = value === null ? "" : value ? "yes" : "no";
  return (
    <select id={id} {...rest} value={shown} onChange={(event) => onChange(event.currentTarget.value === "" ? null : event.currentTarget.value === "yes")}>
      <option value="">{t("reg.notSaid")}</option>
      <option value="yes">{t("reg.yes")}</option>
      <option value="no">{t("reg.no")}</option>
    </select>
  );
}

function Several({ field, value, at, onChange }: { field: Field; value: string[]; at: string; context: InputContext; onChange: (value: FormValue) => void }) {
  return (
    <div class="checks" id={at} role="group" aria-label={own(field.zh, field.en)}>
      {(field.choices ?? []).map((choice) => (
        <label key={choice.value}>
          <input
            type="checkbox"
            checked={value.includes(choice.value)}
            data-testid={`input-${at}-${choice.value}`}
            onChange={(event) => onChange(event.currentTarget.checked ? [...value, choice.value] : value.filter((item) => item !== choice.value))}
          />
          {own(choice.zh, choice.en)}
        </label>
      ))}
    </div>
  );
}

function Reference({ field, value, at, context, onChange }: { field: Field; value: string; at: string; context: InputContext; onChange: (value: FormValue) => void }) {
  const ref = field.ref ?? "";
  return (
    <Combo
      id={at}
      testid={`input-${at}`}
      value={value}
      shown={value === "" ? "" : context.registers.nameOf(ref, value)}
      find={(query) => context.registers.find(ref, query)}
      onChange={(option) => onChange(option?.value ?? "")}
      placeholder={t("reg.typeToFind")}
    />
  );
}

function References({ field, value, at, context, onChange }: { field: Field; value: string[]; at: string; context: InputContext; onChange: (value: FormValue) => void }) {
  const ref = field.ref ?? "";
  return (
    <div class="refs">
      {value.map((id) => (
        <span class="ref" key={id} title={id}>
          {context.registers.nameOf(ref, id)}
          <button type="button" class="icon" aria-label={t("reg.takeOut", { x: id })} onClick={() => onChange(value.filter((other) => other !== id))}>
            ×
          </button>
        </span>
      ))}
      <Combo id={at} testid={`input-${at}`} value="" shown="" find={(query) => context.registers.find(ref, query).then((found) => found.filter((option) => !value.includes(option.value)))} onChange={(option) => option !== null && onChange([...value, option.value])} placeholder={t("reg.addRef")} />
    </div>
  );
}

/** A table inside the entry: the tanks of a plant. An empty line is not sent. */
function Rows({ field, value, at, context, onChange }: { field: Field; value: FormRow[]; at: string; context: InputContext; onChange: (value: FormValue) => void }) {
  const fields = field.fields ?? [];
  const put = (index: number, key: string, cell: FormValue): void => onChange(value.map((row, other) => (other === index ? { ...row, [key]: cell } : row)));
  return (
    <div class="rows" id={at}>
      {value.length === 0 ? null : (
        <table>
          <thead>
            <tr>
              {fields.map((inner) => (
                <th key={inner.key} scope="col">
                  {own(inner.zh, inner.en)}
                  {inner.required === true ? <b class="must">*</b> : null}
                  {inner.uom === undefined || inner.uom === "" ? null : <small> ({inner.uom})</small>}
                </th>
              ))}
              <th />
            </tr>
          </thead>
          <tbody>
            {value.map((row, index) => (
              <tr key={index}>
                {fields.map((inner) => {
                  const key = `${at}[${index + 1}].${inner.key}`;
                  const error = context.errors.get(key);
                  return (
                    <td key={inner.key} class={error === undefined ? "" : "wrong"}>
                      <Plain field={inner} value={row[inner.key] ?? ""} at={key} context={context} onChange={(cell) => put(index, inner.key, cell)} />
                      {error === undefined ? null : <p class="field-error" data-testid={`error-${key}`}>{error}</p>}
                    </td>
                  );
                })}
                <td>
                  <button type="button" class="icon" aria-label={t("reg.removeRow")} title={t("reg.removeRow")} onClick={() => onChange(value.filter((_, other) => other !== index))}>
                    ×
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <button type="button" class="button small" data-testid={`add-row-${field.key}`} onClick={() => onChange([...value, rowToForm(fields, {})])}>
        {t("reg.addRow", { x: own(field.zh, field.en) })}
      </button>
    </div>
  );
}
