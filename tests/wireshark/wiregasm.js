// SPDX-License-Identifier: GPL-2.0-or-later
// Wireshark 4.4 (wiregasm) with the dissector: prints a JSON object with what it says.
//   node wiregasm.js WIRESHARK_FOLDER CAPTURE KEYBOX [VECTORS]

"use strict";
const fs = require("fs");
const path = require("path");

const dist = path.dirname(require.resolve("@goodtools/wiregasm/dist/wiregasm.js"));
const load = require("@goodtools/wiregasm/dist/wiregasm.js");

// The labels of a tree, indented by their depth.
function labels(nodes, depth, out) {
  for (let i = 0; i < nodes.size(); i++) {
    const node = nodes.get(i);
    out.push("  ".repeat(depth) + node.label);
    labels(node.tree, depth + 1, out);
  }
}

async function main(folder, capture, keybox, vectors) {
  const data = fs.readFileSync(path.join(dist, "wiregasm.data"));
  const printed = [];
  const wg = await load({
    wasmBinary: fs.readFileSync(path.join(dist, "wiregasm.wasm")),
    getPreloadedPackage: () => data.buffer.slice(data.byteOffset, data.byteOffset + data.length),
    locateFile: (name) => path.join(dist, name),
    handleStatus: () => {},
    handleError: (error) => { throw new Error(error); },
    print: (line) => printed.push(line),
    printErr: (line) => { if (!/INFO\]/.test(line)) printed.push(line); },
  });
  wg.FS.mkdirTree("/plugins/nst");
  const copy = (from, to) => wg.FS.writeFile(to, fs.readFileSync(from));
  copy(path.join(folder, "nst.lua"), "/plugins/nst.lua");
  for (const name of fs.readdirSync(path.join(folder, "nst"))) {
    copy(path.join(folder, "nst", name), `/plugins/nst/${name}`);
  }
  wg.FS.mkdirTree("/in");
  copy(capture, "/in/capture.pcap");
  copy(keybox, "/in/keybox");
  if (vectors) {
    copy(vectors, "/in/vectors");
    copy(path.join(__dirname, "lua/vectors.lua"), "/plugins/vectors.lua");
  }
  wg.init();
  wg.setPref("nst", "keybox", "/in/keybox");
  wg.applyPreferences();
  const session = new wg.DissectSession("/in/capture.pcap");
  if (session.load().code !== 0) throw new Error("the capture does not load");
  const rows = session.getFrames("", 0, 0).frames;
  const frames = [];
  for (let i = 0; i < rows.size(); i++) {
    const columns = rows.get(i).columns;
    const number = rows.get(i).number;
    const frame = session.getFrame(number);
    const tree = [];
    labels(frame.tree, 0, tree);
    const tabs = [];
    for (let j = 0; j < frame.data_sources.size(); j++) tabs.push(frame.data_sources.get(j).name);
    frames.push({ number, info: columns.get(columns.size() - 1), tree, tabs });
  }
  console.log(JSON.stringify({ printed, frames }));
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
