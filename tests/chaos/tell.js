// Runs in each page of a storm before the page's own script: tells the chaos programme what is shown, whenever
// the socket opens and whenever an answer ends.
(() => {
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
    for (const { target } of changes) {
      if (target.matches(".chat") && target.dataset.connection === "open") {
        window.tellChaos({ why: "open", ...whatIsShown() });
      } else if (target.matches(".answer") && ended.has(target.dataset.state)) {
        window.tellChaos({ why: "ended", ...whatIsShown() });
      }
    }
  }).observe(document, { subtree: true, attributeFilter: ["data-connection", "data-state"] });
})();
