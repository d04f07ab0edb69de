/**
 * One table for all lists. Only the rows in sight are drawn, so 5,000 rows stay quick. Arrow keys move, Enter opens; a click on
 * a heading sorts. Rows have one height: what is longer is cut and stands whole in the title.
 */

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { t } from "../core/i18n";

export interface Column<T> {
  key: string;
  title: string;
  /** A CSS grid size: `9rem`, `minmax(8rem, 2fr)`. */
  width?: string;
  end?: boolean;
  cell: (row: T) => ComponentChildren;
  /** What the whole of a cut cell is, for the tooltip. */
  hint?: (row: T) => string;
  /** Without it the heading does not sort. */
  value?: (row: T) => string | number | null;
}

export interface Sorting {
  key: string;
  down: boolean;
}

export interface TableProps<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T) => string;
  selected?: string;
  onSelect?: (row: T) => void;
  onOpen?: (row: T) => void;
  empty?: ComponentChildren;
  /** Asked for more when the end is near. */
  onEnd?: () => void;
  testid?: string;
  first?: Sorting;
}

const ROW_REM = 2.5;
const SPARE = 8;

const collator = new Intl.Collator("zh-CN", { numeric: true });

/** Empty cells last in both directions. */
export function sorted<T>(rows: T[], columns: Column<T>[], sorting: Sorting | null): T[] {
  const value = columns.find((column) => column.key === sorting?.key)?.value;
  if (sorting === null || value === undefined) return rows;
  const sign = sorting.down ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    const [noA, noB] = [a === null || a === "", b === null || b === ""];
    if (noA || noB) return Number(noA) - Number(noB);
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b)));
  });
}

export function Table<T>({ label, columns, rows, rowKey, selected = "", onSelect, onOpen, empty, onEnd, testid, first }: TableProps<T>) {
  const [sorting, setSorting] = useState<Sorting | null>(first ?? null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const scroller = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => sorted(rows, columns, sorting), [rows, columns, sorting]);
  const rowPx = ROW_REM * remPx();
  const template = columns.map((column) => column.width ?? "minmax(7rem, 1fr)").join(" ");

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const place = shown.findIndex((row) => rowKey(row) === selected);
  useEffect(() => {
    if (place >= 0) reveal(scroller.current, place, rowPx);
  }, [selected, sorting]);

  const from = Math.max(0, Math.floor(top / rowPx) - SPARE);
  const to = Math.min(shown.length, Math.ceil((top + height) / rowPx) + SPARE);
  const onScroll = (): void => {
    const element = scroller.current;
    if (element === null) return;
    setTop(element.scrollTop);
    if (onEnd !== undefined && element.scrollTop + 2 * element.clientHeight > element.scrollHeight) onEnd();
  };
  const onKey = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(height / rowPx) - 2);
    const step: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -shown.length, End: shown.length };
    const move = step[event.key];
    if (move !== undefined && onSelect !== undefined) {
      event.preventDefault();
      const next = shown[Math.min(shown.length - 1, Math.max(0, place + move))];
      if (next !== undefined) onSelect(next);
    } else if (event.key === "Enter" && place >= 0 && event.target === scroller.current) {
      event.preventDefault();
      onOpen?.(shown[place] as T);
    }
  };
  const sortBy = (column: Column<T>): void => {
    if (column.value !== undefined) setSorting(sorting?.key !== column.key ? { key: column.key, down: false } : sorting.down ? null : { key: column.key, down: true });
  };
  return (
    <div class="table" role="grid" aria-label={label} aria-rowcount={shown.length} data-testid={testid}>
      <div class="table-scroll" ref={scroller} tabIndex={0} onScroll={onScroll} onKeyDown={onKey} aria-label={label}>
        <div class="table-inner">
          <div class="table-head" role="row" style={{ gridTemplateColumns: template }}>
            {columns.map((column) => (
              <div key={column.key} role="columnheader" class={column.end === true ? "end" : ""} aria-sort={sorting?.key !== column.key ? "none" : sorting.down ? "descending" : "ascending"}>
                {column.value === undefined ? (
                  column.title
                ) : (
                  <button type="button" onClick={() => sortBy(column)} title={t("office.sort")}>
                    {column.title}
                    <i>{sorting?.key !== column.key ? "" : sorting.down ? "▼" : "▲"}</i>
                  </button>
                )}
              </div>
            ))}
          </div>
          <div class="table-rows" style={{ height: `${shown.length * rowPx}px` }}>
            {shown.slice(from, to).map((row, index) => {
              const key = rowKey(row);
              return (
                <div
                  key={key}
                  role="row"
                  class={`table-row${key === selected ? " chosen" : ""}${(from + index) % 2 === 1 ? " odd" : ""}`}
                  style={{ transform: `translateY(${(from + index) * rowPx}px)`, gridTemplateColumns: template }}
                  aria-selected={key === selected}
                  data-row={key}
                  onClick={() => onSelect?.(row)}
                  onDblClick={() => onOpen?.(row)}
                >
                  {columns.map((column) => (
                    <div key={column.key} role="gridcell" class={column.end === true ? "end" : ""} title={column.hint?.(row)}>
                      {column.cell(row)}
                    </div>
                  ))}
                </div>
              );
            })}
          </div>
        </div>
        {shown.length === 0 ? <div class="table-empty">{empty ?? t("office.nothing")}</div> : null}
      </div>
    </div>
  );
}

export function remPx(): number {
  return typeof document === "undefined" ? 16 : parseFloat(getComputedStyle(document.documentElement).fontSize);
}

function reveal(element: HTMLElement | null, place: number, rowPx: number): void {
  if (element === null) return;
  const head = rowPx;
  const [from, to] = [place * rowPx, (place + 1) * rowPx + head];
  if (from < element.scrollTop) element.scrollTop = from;
  else if (to > element.scrollTop + element.clientHeight) element.scrollTop = to - element.clientHeight;
}
