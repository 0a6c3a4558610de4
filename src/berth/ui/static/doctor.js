// The doctor's checks as they finish: the form is sent as it is, and answered by lines of JSON instead of a page. What does
// not begin is sent once more in the usual way, and shown as a page.
const form = document.querySelector("form.doctor");
const button = form.querySelector("button");
const status = document.getElementById("doctor-status");
const result = document.getElementById("doctor-result");

async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield* lines;
  }
}

function show({ html, problem }) {
  if (html !== undefined) result.innerHTML = html;
  if (problem !== undefined) status.textContent = problem;
}

async function examine() {
  const answer = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "application/x-ndjson" },
    body: new URLSearchParams(new FormData(form)),
  });
  if (!answer.headers.get("content-type").startsWith("application/x-ndjson")) {
    form.submit();
    return;
  }
  status.textContent = `Looking at ${form.elements.image.value} …`;
  let isTold = false;
  for await (const line of linesOf(answer.body)) {
    const said = JSON.parse(line);
    show(said);
    isTold = said.problem !== undefined;
  }
  const finding = document.getElementById("finding");
  if (isTold) return;
  status.textContent = finding ? finding.textContent : "The answer broke off. Try again.";
  status.classList.toggle("hidden", finding !== null); // it is said; seen it is below
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  status.className = "soft";
  document.getElementById("problem")?.remove();
  result.replaceChildren();
  try {
    await examine();
  } catch {
    status.textContent = "The server does not answer. Try again.";
  } finally {
    button.disabled = false;
  }
});
