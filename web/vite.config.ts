import { resolve } from "node:path";
import { defineConfig } from "vite";

/** Four pages, one build: wall and desk share a bundle, field and login are small. Everything is served by us. */
const page = (name: string): string => resolve(import.meta.dirname, `${name}.html`);

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "chrome100",
    outDir: "dist",
    assetsDir: "assets",
    emptyOutDir: true,
    sourcemap: false,
    modulePreload: { polyfill: false },
    rollupOptions: { input: { wall: page("wall"), desk: page("desk"), field: page("field"), login: page("login") } },
  },
});
