// The program that `DenoInterpreter` starts: Pyodide, and the lines that `_session.py` describes.
//
// Deno gives it nothing but the folder of Pyodide and this one, for reading. Nothing here is a wall: code inside may find
// its way to every object of this file, and can do with it what Deno lets it do.

import { createRequire } from "node:module";

const [folder, here] = Deno.args;
const decoder = new TextDecoder();
const encoder = new TextEncoder();
let rest = new Uint8Array(0);

function joined(a, b) {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function receive() {
  const chunks = [rest];
  for (let last = rest; ; ) {
    const end = last.indexOf(10);
    if (end >= 0) {
      chunks[chunks.length - 1] = last.subarray(0, end);
      rest = last.slice(end + 1);
      return decoder.decode(chunks.reduce(joined));
    }
    last = new Uint8Array(65536);
    const size = Deno.stdin.readSync(last);
    if (size === null) Deno.exit(0); // the host is gone
    last = last.subarray(0, size);
    chunks.push(last);
  }
}

function send(text) {
  let bytes = encoder.encode(text + "\n");
  while (bytes.length) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

let serve;
try {
  // Pyodide takes Deno for Node, and asks for what CommonJS modules have.
  globalThis.require = createRequire(import.meta.url);
  globalThis.__dirname = folder;
  globalThis.__filename = folder + "/pyodide.asm.js";
  const { loadPyodide } = await import(new URL(`file://${folder}/pyodide.mjs`));
  const { AbortController, Array, Date, Object, Symbol, clearTimeout, setTimeout } = globalThis;
  const python = await loadPyodide({
    indexURL: folder + "/",
    env: { HOME: "/home/pyodide", LANG: "C.UTF-8" },
    jsglobals: { AbortController, Array, Date, Object, Symbol, clearTimeout, setTimeout },
    stdout: () => {},
    stderr: () => {},
  });
  python.FS.writeFile("/lib/_child.py", Deno.readTextFileSync(`${here}/_child.py`));
  python.runPython("import sys; sys.path.insert(0, '/lib')");
  serve = python.pyimport("_child").serve;
} catch (error) {
  send(JSON.stringify({ failed: String(error) }));
  Deno.exit(1);
}
send(JSON.stringify({ ready: true }));
while (true) {
  try {
    send(serve(receive(), send, receive));
  } catch {
    Deno.exit(1); // Pyodide itself has failed: the host begins a new session
  }
}
