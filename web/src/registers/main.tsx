import { render } from "preact";
import { explain, lang } from "../core/i18n";
import { Opening, Shell } from "../office/Shell";
import { openOffice } from "../office/session";

async function main(): Promise<void> {
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  const root = document.getElementById("app");
  if (root === null) return;
  render(<Opening problem="" />, root);
  const office = await openOffice((error) => render(<Opening problem={explain(error)} />, root));
  render(<Shell office={office} page="registers">{null}</Shell>, root);
}

void main();
