/** Several people in an order: type to add, arrows to move up, × to take out. */

import { t } from "../core/i18n";
import { Combo } from "../office/Combo";
import type { Option } from "../office/Combo";

export interface Picked {
  value: string;
  text: string;
}

export function PeoplePicker({ id, picked, find, onChange, ordered = false, testid }: { id: string; picked: readonly Picked[]; find: (query: string) => Option[]; onChange: (picked: Picked[]) => void; ordered?: boolean; testid?: string }) {
  const add = (option: Option | null): void => {
    if (option !== null && !picked.some((one) => one.value === option.value)) onChange([...picked, { value: option.value, text: option.text }]);
  };
  const up = (index: number): void => {
    const next = [...picked];
    const [one] = next.splice(index, 1);
    if (one !== undefined) next.splice(index - 1, 0, one);
    onChange(next);
  };
  return (
    <div class="picked">
      {picked.length === 0 ? null : (
        <ol>
          {picked.map((one, index) => (
            <li key={one.value}>
              {ordered ? <b>{index + 1}</b> : null}
              {one.text}
              {ordered && index > 0 ? (
                <button type="button" class="icon" aria-label={t("duty.up")} title={t("duty.up")} onClick={() => up(index)}>
                  ↑
                </button>
              ) : null}
              <button type="button" class="icon" aria-label={t("duty.takeOut", { name: one.text })} onClick={() => onChange(picked.filter((other) => other.value !== one.value))}>
                ×
              </button>
            </li>
          ))}
        </ol>
      )}
      <Combo id={id} value="" shown="" find={(query) => find(query).filter((option) => !picked.some((one) => one.value === option.value))} onChange={add} placeholder={t("duty.whoPlaceholder")} {...(testid === undefined ? {} : { testid })} />
    </div>
  );
}
