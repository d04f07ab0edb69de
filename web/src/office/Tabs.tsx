/** Tabs that arrow keys move. */

export interface Tab {
  key: string;
  title: string;
  count?: number;
}

export function Tabs({ tabs, value, onChange, label }: { tabs: Tab[]; value: string; onChange: (key: string) => void; label: string }) {
  const onKey = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const next = tabs[(tabs.findIndex((tab) => tab.key === value) + step + tabs.length) % tabs.length];
    if (step === 0 || next === undefined) return;
    onChange(next.key);
    (event.currentTarget as HTMLElement).querySelector<HTMLElement>(`[data-tab="${next.key}"]`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={onKey}>
      {tabs.map((tab) => (
        <button key={tab.key} type="button" role="tab" aria-selected={tab.key === value} tabIndex={tab.key === value ? 0 : -1} data-tab={tab.key} data-testid={`tab-${tab.key}`} onClick={() => onChange(tab.key)}>
          {tab.title}
          {tab.count === undefined ? null : ` ${tab.count}`}
        </button>
      ))}
    </div>
  );
}
