/** A form field with its name, its help and its error, tied together for screen readers. */

import type { ComponentChildren } from "preact";
import { t } from "../core/i18n";

export interface LabelledProps {
  label: string;
  id: string;
  required?: boolean;
  help?: string;
  error?: string | undefined;
  wide?: boolean;
  /** Beside the label: a unit, a button. */
  aside?: ComponentChildren;
  children: ComponentChildren;
}

export function Labelled({ label, id, required = false, help = "", error, wide = false, aside, children }: LabelledProps) {
  return (
    <div class={`field${wide ? " wide" : ""}${error === undefined ? "" : " wrong"}`} data-field={id}>
      <div class="field-head">
        <label class="field-label" for={id}>
          {label}
          {required ? (
            <b class="must" title={t("office.required")} aria-label={t("office.required")}>
              *
            </b>
          ) : null}
        </label>
        {aside}
      </div>
      {children}
      {error === undefined ? null : (
        <p class="field-error" role="alert" id={`${id}-error`} data-testid={`error-${id}`}>
          {error}
        </p>
      )}
      {help === "" ? null : <p class="field-help">{help}</p>}
    </div>
  );
}
