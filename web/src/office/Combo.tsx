/** A text box that offers choices while one types: people, areas, references. Arrow keys, Enter, Escape; mouse as well. */

import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../core/i18n";
import type { Areas } from "./areas";

export interface Option {
  value: string;
  text: string;
  /** Smaller, behind the text: a code, an area. */
  note?: string;
  depth?: number;
}

export interface ComboProps {
  id?: string;
  value: string;
  /** What is shown for `value` while nobody types. */
  shown: string;
  find: (query: string) => Option[] | Promise<Option[]>;
  onChange: (option: Option | null) => void;
  placeholder?: string;
  disabled?: boolean;
  testid?: string;
  label?: string;
}

const WAIT_MS = 150;
const SHOWN_MAX = 100;

export function Combo({ id, value, shown, find, onChange, placeholder, disabled = false, testid, label }: ComboProps) {
  const [query, setQueried] = useState<string | null>(null);
  const typed = useRef<string | null>(null); // known at once: an effect of older words may still run after newer ones were typed
  const setQuery = (text: string | null): void => {
    typed.current = text;
    setQueried(text);
  };
  const [options, setOptions] = useState<Option[]>([]);
  const [at, setAt] = useState(0);
  const [failed, setFailed] = useState(false);
  const [asking, setAsking] = useState(false);
  const list = useRef<HTMLUListElement>(null);
  const asked = useRef(0);
  const entered = useRef(false); // Enter came before the answer: it means the first choice of that answer

  useEffect(() => {
    if (query === null) return undefined;
    const mine = ++asked.current;
    setAsking(true);
    const timer = setTimeout(() => {
      Promise.resolve(find(query)).then(
        (found) => {
          if (mine !== asked.current || typed.current !== query) return; // a later question has overtaken this answer
          setOptions(found.slice(0, SHOWN_MAX));
          setFailed(false);
          setAsking(false);
          setAt(0);
          if (entered.current) choose(found[0]);
        },
        () => {
          if (mine !== asked.current || typed.current !== query) return;
          setFailed(true);
          setAsking(false);
        },
      );
    }, query === "" ? 0 : WAIT_MS);
    return () => clearTimeout(timer);
  }, [query]);
  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);

  const close = (): void => {
    asked.current += 1;
    entered.current = false;
    setQuery(null);
    setOptions([]);
  };
  const choose = (option: Option | undefined): void => {
    if (option === undefined) return;
    onChange(option);
    close();
  };
  const type = (text: string): void => {
    setOptions([]); // what was found for other words is not a choice any more
    setAsking(true);
    entered.current = false;
    setQuery(text);
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (query === null) setQuery("");
      else setAt(Math.max(0, Math.min(options.length - 1, at + (event.key === "ArrowDown" ? 1 : -1))));
    } else if (event.key === "Enter" && query !== null) {
      event.preventDefault();
      if (options.length > 0) choose(options[at]);
      else entered.current = asking;
    } else if (event.key === "Escape" && query !== null) {
      event.preventDefault();
      event.stopPropagation(); // the dialog around us stays open
      close();
    }
  };
  const open = query !== null;
  return (
    <div class="combo">
      <input
        id={id}
        type="text"
        role="combobox"
        autocomplete="off"
        aria-expanded={open}
        aria-label={label}
        placeholder={placeholder}
        disabled={disabled}
        value={query ?? shown}
        data-testid={testid}
        data-value={value}
        onFocus={(event) => event.currentTarget.select()}
        onClick={() => query === null && setQuery("")}
        onInput={(event) => type(event.currentTarget.value)}
        onKeyDown={onKey}
        onBlur={close}
      />
      {value !== "" && !disabled ? (
        <button type="button" class="icon clear" aria-label={t("office.clear")} onMouseDown={(event) => event.preventDefault()} onClick={() => onChange(null)}>
          ×
        </button>
      ) : null}
      {open ? (
        <ul class="combo-list" role="listbox" ref={list}>
          {options.map((option, index) => (
            <li
              key={option.value}
              role="option"
              aria-selected={index === at}
              class={`d${Math.min(4, option.depth ?? 0)}`}
              onMouseDown={(event) => {
                event.preventDefault();
                choose(option);
              }}
            >
              {option.text}
              {option.note === undefined || option.note === "" ? null : <small>{option.note}</small>}
            </li>
          ))}
          {options.length === 0 ? <li class="nothing">{asking ? t("office.busy") : failed ? t("error.offline") : t("office.nothing")}</li> : null}
        </ul>
      ) : null}
    </div>
  );
}

export function AreaPicker({ areas, value, onChange, id, testid, placeholder, disabled = false }: { areas: Areas; value: string; onChange: (code: string) => void; id?: string; testid?: string; placeholder?: string; disabled?: boolean }) {
  const find = (query: string): Option[] => {
    const found = areas.search(query).map((area) => ({ value: area.code, text: area.name, note: area.code, depth: areas.depth(area) }));
    // A code that we do not know is left to the server to judge.
    return found.length === 0 && /^\d{2,}$/.test(query) ? [{ value: query, text: query }] : found;
  };
  return (
    <Combo
      {...(id === undefined ? {} : { id })}
      value={value}
      shown={value === "" ? "" : areas.name(value)}
      find={find}
      onChange={(option) => onChange(option?.value ?? "")}
      placeholder={placeholder ?? t("office.area")}
      disabled={disabled}
      testid={testid ?? "area-picker"}
      label={t("office.area")}
    />
  );
}
