/** A button with a small menu under it. Escape and a click elsewhere close it. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export function Menu({ title, children, testid }: { title: string; children: (close: () => void) => ComponentChildren; testid?: string }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const away = (event: Event): void => {
      if (!(event.target instanceof Node) || box.current?.contains(event.target) !== true) setOpen(false);
    };
    const key = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      setOpen(false);
      box.current?.querySelector("button")?.focus();
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", key);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", key);
    };
  }, [open]);
  return (
    <div class="menu" ref={box}>
      <button type="button" class="button" aria-haspopup="true" aria-expanded={open} onClick={() => setOpen(!open)} data-testid={testid}>
        {title} <i>▾</i>
      </button>
      {open ? <div class="menu-list">{children(() => setOpen(false))}</div> : null}
    </div>
  );
}
