// A shell in a codespace, in xterm, over the WebSocket that docs/api.md describes under "Exec". A shell lives as long as its
// connection: a lost one is not taken up again, there is a new shell.
const place = document.getElementById("terminal");
const state = document.getElementById("state");
const again = document.getElementById("again");
const { socket: path, subprotocol, xterm, fit: fitting, styles } = place.dataset;
const command = JSON.parse(place.dataset.command);
const WINDOW = Number(place.dataset.window);
const [STDIN, STDOUT, STDERR, END, RESIZE, START, MORE] = [0, 1, 2, 3, 4, 5, 6];
const MAX_SIDE = 1000;
const MAX_DATA = 32 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

await import(styles);
const { Terminal } = await import(xterm);
const { FitAddon } = await import(fitting);

const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () =>
  dark.matches
    ? { background: "#0b1115", foreground: "#e3eaee", cursor: "#7fd6de", selectionBackground: "#2b5258" }
    : {
        background: "#ffffff", foreground: "#17222b", cursor: "#0b6973", cursorAccent: "#ffffff", selectionBackground: "#b9dfe2",
        black: "#17222b", red: "#b3261e", green: "#17693a", yellow: "#7d5200", blue: "#1c5cb0", magenta: "#8a2d8f", cyan: "#0b6973",
        white: "#53616c", brightBlack: "#53616c", brightRed: "#c9372e", brightGreen: "#1d7d46", brightYellow: "#946100",
        brightBlue: "#2f6fc4", brightMagenta: "#a03ca5", brightCyan: "#0f7d88", brightWhite: "#31404b",
      };
const terminal = new Terminal({
  theme: theme(),
  fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
  fontSize: 14,
  lineHeight: 1.2, // below it, an underscore is cut off
  cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  minimumContrastRatio: 4.5,
  scrollback: 5000,
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(place);
dark.addEventListener("change", () => (terminal.options.theme = theme()));

let socket = null;
let open = false; // the shell takes input
let room = 0; // bytes that may be sent
let waiting = []; // of stdin, until there is room
let taken = 0; // bytes of output that were shown, and not given back yet

function frame(channel, content) {
  const message = new Uint8Array(1 + content.length);
  message[0] = channel;
  message.set(content, 1);
  return message;
}

const json = (channel, value) => frame(channel, encoder.encode(JSON.stringify(value)));
const size = () => ({ rows: Math.min(terminal.rows, MAX_SIDE), columns: Math.min(terminal.cols, MAX_SIDE) });

function feed() {
  while (open && waiting.length && room) {
    const bytes = waiting[0].subarray(0, Math.min(room, MAX_DATA));
    waiting[0] = waiting[0].subarray(bytes.length);
    if (!waiting[0].length) waiting.shift();
    room -= bytes.length;
    socket.send(frame(STDIN, bytes));
  }
}

function shown(length, from) {
  taken += length;
  if (taken < WINDOW / 4 || from !== socket || !open) return;
  const count = new DataView(new ArrayBuffer(4));
  count.setUint32(0, taken);
  taken = 0;
  socket.send(frame(MORE, new Uint8Array(count.buffer)));
}

function ended(words) {
  if (!socket) return;
  socket = null;
  open = false;
  waiting = [];
  state.textContent = words;
  place.classList.add("ended");
  terminal.write(`\r\n\x1b[2m[${words}]\x1b[0m\r\n`);
  terminal.options.disableStdin = true;
  again.hidden = false;
  if (place.contains(document.activeElement)) again.focus();
}

function hear(message, from) {
  const content = new Uint8Array(message.data);
  const body = content.subarray(1);
  if (content[0] === STDOUT || content[0] === STDERR) {
    terminal.write(body, () => shown(body.length, from));
  } else if (content[0] === MORE) {
    room += new DataView(body.buffer, body.byteOffset).getUint32(0);
    feed();
  } else if (content[0] === END) {
    const end = JSON.parse(decoder.decode(body));
    ended("exit_code" in end ? `The shell ended with exit code ${end.exit_code}.` : end.message.replace(/[^\x20-\x7e\u00a1-\u024f\u2026]/g, ""));
  }
}

function connect() {
  again.hidden = true;
  place.classList.remove("ended");
  state.textContent = "Connecting …";
  terminal.options.disableStdin = false;
  room = WINDOW;
  taken = 0;
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(url, subprotocol);
  let was = false;
  socket = mine;
  mine.binaryType = "arraybuffer";
  mine.addEventListener("open", () => {
    if (mine !== socket) return;
    fit.fit();
    mine.send(json(START, { command, terminal: { ...size(), term: "xterm-256color" } }));
    was = open = true; // from now on: start is the first frame
    state.textContent = "Connected.";
    feed();
  });
  mine.addEventListener("message", (message) => mine === socket && hear(message, mine));
  mine.addEventListener("close", () => {
    if (mine !== socket) return;
    ended(was ? "The connection was lost, and the shell with it." : "No connection: the codespace may have stopped, or you were signed out.");
  });
  terminal.focus();
}

terminal.onData((text) => {
  if (!socket) return;
  waiting.push(encoder.encode(text));
  feed();
});
terminal.onBinary((text) => {
  if (!socket) return;
  waiting.push(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
  feed();
});
terminal.onResize(() => open && socket.send(json(RESIZE, size())));
terminal.attachCustomKeyEventHandler((event) => {
  if (!(event.ctrlKey && event.shiftKey && event.code === "Period")) return true;
  document.querySelector(".crumbs a").focus();
  return false;
});
new ResizeObserver(() => fit.fit()).observe(place);
again.addEventListener("click", () => {
  terminal.reset();
  connect();
});
connect();
