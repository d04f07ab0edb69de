import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";
import type { Plugin } from "vite";

/** One build: wall and desk share a bundle, the office pages share theirs, field and login are small. Everything is served by us. */
const PAGES = ["wall", "desk", "field", "login", "registers", "duty", "quality", "town", "grid", "vendor", "admin"];
const page = (name: string): string => resolve(import.meta.dirname, `${name}.html`);

/** A `.gz` beside each text file: the server sends it as it is. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    closeBundle() {
      const root = resolve(import.meta.dirname, "dist");
      for (const name of readdirSync(root, { recursive: true, encoding: "utf8" })) {
        if (!/\.(js|css|html|geojson)$/.test(name)) continue;
        const path = join(root, name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [compress()],
  build: {
    target: "chrome100",
    outDir: "dist",
    assetsDir: "assets",
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    rollupOptions: { input: Object.fromEntries(PAGES.map((name) => [name, page(name)])) },
  },
});
