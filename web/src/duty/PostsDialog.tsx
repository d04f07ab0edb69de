/** The district's posts: names, order of calling, which may stay empty, which end with a hand-over. All of them are saved at once. */

import { useState } from "preact/hooks";
import { explain, own, t } from "../core/i18n";
import { Dialog, Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import type { Office } from "../office/session";
import { codeFor, inOrder, moveUp } from "./posts";
import type { Post } from "./roster";

export function PostsDialog({ office, posts, onDone, onClose }: { office: Office; posts: readonly Post[]; onDone: (words: string) => void; onClose: () => void }) {
  const [rows, setRows] = useState<Post[]>(() => inOrder(posts));
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const change = (index: number, part: Partial<Post>): void => setRows(rows.map((row, at) => (at === index ? { ...row, ...part } : row)));
  const add = (): void => setRows([...rows, { post: codeFor(rows), zh: "", en: "", step: rows.length + 1, required: false, hand_over: false, hazards: [] }]);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (rows.some((row) => row.zh.trim() === "")) return setProblem(t("duty.postNameNeeded"));
    setProblem("");
    setBusy(true);
    try {
      await office.api.put("/api/v1/duty/posts", { posts: rows.map((row, at) => ({ ...row, step: at + 1 })), reason });
      onDone(t("duty.postsSaved"));
    } catch (error) {
      setProblem(explain(error));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={t("duty.posts")}
      onClose={onClose}
      wide
      testid="posts-dialog"
      foot={
        <>
          <button type="button" class="button" onClick={add} data-testid="post-add">
            {t("duty.postAdd")}
          </button>
          <span class="spring" />
          <button type="button" class="button" onClick={onClose}>
            {t("office.cancel")}
          </button>
          <button type="submit" form="posts-form" class="button primary" disabled={busy} data-testid="posts-save">
            {busy ? t("office.busy") : t("duty.save")}
          </button>
        </>
      }
    >
      <form id="posts-form" class="posts" onSubmit={(event) => void save(event)}>
        <p class="dim">{t("duty.postsHelp")}</p>
        <table>
          <thead>
            <tr>
              <th>{t("duty.postOrder")}</th>
              <th>{t("duty.postName")}</th>
              <th>{t("duty.postNameEn")}</th>
              <th>{t("duty.postRequired")}</th>
              <th>{t("duty.postHandOver")}</th>
              <th />
            </tr>
          </thead>
          <tbody>
            {rows.map((row, index) => (
              <tr key={row.post} data-testid={`post-row-${row.post}`}>
                <td>
                  <b>{index + 1}</b>
                  <button type="button" class="icon" disabled={index === 0} aria-label={t("duty.up")} title={t("duty.up")} onClick={() => setRows(moveUp(rows, index))}>
                    ↑
                  </button>
                </td>
                <td>
                  <input type="text" value={row.zh} maxLength={40} aria-label={t("duty.postName")} onInput={(event) => change(index, { zh: event.currentTarget.value })} data-testid={`post-zh-${row.post}`} />
                </td>
                <td>
                  <input type="text" value={row.en} maxLength={60} lang="en" aria-label={t("duty.postNameEn")} onInput={(event) => change(index, { en: event.currentTarget.value })} />
                </td>
                <td>
                  <input type="checkbox" checked={row.required} aria-label={t("duty.postRequired")} onChange={(event) => change(index, { required: event.currentTarget.checked })} />
                </td>
                <td>
                  <input type="checkbox" checked={row.hand_over} aria-label={t("duty.postHandOver")} onChange={(event) => change(index, { hand_over: event.currentTarget.checked })} />
                </td>
                <td>
                  <button type="button" class="icon" aria-label={t("duty.takeOut", { name: own(row.zh, row.en) })} disabled={rows.length === 1} onClick={() => setRows(rows.filter((_, at) => at !== index))} data-testid={`post-out-${row.post}`}>
                    ×
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        <Labelled id="posts-reason" label={t("office.reason")}>
          <input id="posts-reason" type="text" value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />
        </Labelled>
        <Failure text={problem} />
      </form>
    </Dialog>
  );
}
