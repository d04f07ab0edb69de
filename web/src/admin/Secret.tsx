/** A secret that is shown once: large enough to be read aloud, one press to copy, gone when it is closed. */

import { useState } from "preact/hooks";
import { t } from "../core/i18n";
import { Dialog } from "../office/Dialog";
import { copyText } from "../office/save";

export function Secret({ title, text, secret, onClose }: { title: string; text: string; secret: string; onClose: () => void }) {
  const [copied, setCopied] = useState(false);
  return (
    <Dialog
      title={title}
      onClose={onClose}
      testid="secret-dialog"
      foot={
        <>
          <button type="button" class="button" data-testid="copy-secret" onClick={() => void copyText(secret).then(setCopied)}>
            {t(copied ? "admin.copied" : "admin.copy")}
          </button>
          <button type="button" class="button primary" onClick={onClose} data-testid="secret-close">
            {t("admin.written")}
          </button>
        </>
      }
    >
      <p>{text}</p>
      <output class="secret" data-testid="secret">
        {secret}
      </output>
    </Dialog>
  );
}
