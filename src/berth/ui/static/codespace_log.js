// The creation log while it grows: server-sent events, written into the list that the page came with. At the end the page
// is loaded anew, which shows the state that the codespace has then.
const section = document.getElementById("log");
const phases = document.getElementById("log-phases");
const status = document.getElementById("log-status");
const MOST_LINES = 2000;
let output = null; // the <pre> of the phase that runs
let pulled = null;
let lines = 0;

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function current() {
  if (!phases.lastElementChild) beginPhase({ text: "Output" });
  return phases.lastElementChild;
}

function beginPhase({ text }) {
  document.getElementById("log-empty")?.remove();
  phases.lastElementChild?.classList.remove("now");
  phases.lastElementChild?.querySelector("details")?.removeAttribute("open");
  const item = element("li", "", "now");
  item.append(element("span", text, "phase"));
  phases.append(item);
  output = pulled = null;
  lines = 0;
  status.textContent = text;
}

function findOutput() {
  const item = current();
  if (!output) output = item.querySelector("pre");
  if (!output) {
    const title = item.querySelector(".phase");
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    details.open = true;
    output = document.createElement("pre");
    output.tabIndex = 0;
    output.setAttribute("role", "group");
    output.setAttribute("aria-label", `Output of: ${title.textContent}`);
    item.prepend(details);
    summary.append(title);
    details.append(summary, output);
  }
  return output;
}

function addLine({ text }) {
  const into = findOutput();
  into.append(`${text}\n`);
  lines += 1;
  if (lines > MOST_LINES) into.firstChild.remove();
}

function showPulled({ done, total, text }) {
  const item = current();
  if (!pulled) pulled = item.querySelector(".pulled");
  if (!pulled) {
    pulled = element("div", "", "pulled");
    const bar = document.createElement("progress");
    bar.setAttribute("aria-label", "Pulled");
    pulled.append(bar, " ", element("span", "", "soft"));
    item.append(pulled);
  }
  const bar = pulled.querySelector("progress");
  bar.max = total;
  bar.value = done;
  pulled.querySelector("span").textContent = text;
}

const events = new EventSource(section.dataset.events);
const handle = { phase: beginPhase, output: addLine, progress: showPulled };
for (const [kind, show] of Object.entries(handle)) {
  events.addEventListener(kind, (event) => show(JSON.parse(event.data)));
}
events.addEventListener("end", () => {
  events.close();
  location.reload();
});
events.addEventListener("error", () => {
  if (events.readyState === EventSource.CLOSED) {
    section.append(element("p", "The log does not come any more. Load the page anew.", "note warn"));
  }
});
