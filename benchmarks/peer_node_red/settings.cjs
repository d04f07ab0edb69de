// Node-RED for `benchmarks/peers.py`: no editor, no login page, nothing listening; what the flow needs of the outside is named here.
const fs = require("fs");
const { Pool } = require("pg");

const peer = JSON.parse(fs.readFileSync(process.env.PEER_SETTINGS, "utf8"));

module.exports = {
  userDir: process.env.PEER_FOLDER,
  flowFile: "flows.json",
  credentialSecret: false,
  httpAdminRoot: false,
  httpNodeRoot: false,
  uiHost: "127.0.0.1",
  uiPort: Number(process.env.PEER_PORT),
  functionGlobalContext: {
    pool: new Pool({ ...peer.postgres, max: 1 }).on("error", () => {}),
    say: (text) => process.stdout.write(text + "\n"),
  },
  logging: { console: { level: "error" } },
};
