// Runs in each page of a storm before the page's own script: tells the chaos programme what is shown, whenever
// the socket opens and whenever an answer ends. Keeps what befell the line, for a complaint that there is none.
(() => {
  const [history, kept] = [[], 40];
  const note = (words) => {
    history.push([performance.now(), words]);
    if (history.length > kept) history.shift();
  };
  for (const name of ["online", "offline"]) addEventListener(name, () => note(`event ${name}`));
  window.WebSocket = class extends WebSocket {
    constructor(...values) {
      super(...values);
      const since = performance.now();
      const after = () => `after ${Math.round(performance.now() - since)} ms`;
      note("socket tried");
      this.addEventListener("open", () => note(`socket open ${after()}`));
      this.addEventListener("close", ({ code, wasClean }) => note(`socket closed ${after()}, code ${code}, ${wasClean ? "clean" : "not clean"}`));
    }
  };
  window.lineHistory = () => [
    `the page says that it is ${navigator.onLine ? "online" : "offline"}, ${document.visibilityState}, loaded ${Math.round(performance.now() / 1000)} s ago`,
    ...history.map(([at, words]) => `${((performance.now() - at) / 1000).toFixed(1)} s ago: ${words}`),
  ];
  const ended = new Set(["completed", "stopped", "interrupted", "failed"]);
  const answers = () => [...document.querySelectorAll(".thread [data-turn-id]")].map((turn) => {
    const answer = turn.querySelector(".answer");
    return {
      question: turn.querySelector("[data-field=question]").textContent, status: turn.dataset.status,
      generation: answer.dataset.generationId ?? "", state: answer.dataset.state ?? "queued",
      text: turn.querySelector("[data-field=prose]").textContent.trim(),
    };
  });
  window.whatIsShown = () => ({
    answers: answers(), composer: document.querySelector("#message")?.value ?? "",
    mode: document.querySelector(".send")?.dataset.mode ?? "",
    connection: document.querySelector(".chat")?.dataset.connection ?? "",
    writing: document.querySelectorAll(".thread .writing:not([hidden]), .thread [aria-busy=true]").length,
    banner: document.querySelector("[data-field=banner]:not([hidden])")?.innerText ?? "",
  });
  new MutationObserver((changes) => {
    for (const { target, attributeName } of changes) {
      if (attributeName === "data-connection") note(`shown as ${target.dataset.connection}`);
      if (target.matches(".chat") && target.dataset.connection === "open") {
        window.tellChaos({ why: "open", ...whatIsShown() });
      } else if (target.matches(".answer") && ended.has(target.dataset.state)) {
        window.tellChaos({ why: "ended", ...whatIsShown() });
      }
    }
  }).observe(document, { subtree: true, attributeFilter: ["data-connection", "data-state"] });
})();
