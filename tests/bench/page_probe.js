// Put into every page before its own scripts: notes when deltas arrive, when they are painted, which
// frames and tasks are long. All times in ms of the page's clock.
(() => {
  const probe = { painted: [], frames: [], tasks: [], since: 0, clickedAt: 0, firstPaintAt: 0, readyAt: 0, largestPaintAt: 0 };
  globalThis.probe = probe;
  let waiting = [];
  const Native = WebSocket;
  globalThis.WebSocket = class extends Native {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (data.startsWith('{"type":"delta"')) waiting.push(performance.now());
      });
    }
  };
  const nativeFrame = requestAnimationFrame.bind(globalThis);
  let inFrame = false;
  globalThis.requestAnimationFrame = (work) => nativeFrame((now) => {
    inFrame = true;
    try {
      work(now);
    } finally {
      // Observers hear of its changes before this.
      queueMicrotask(() => (inFrame = false));
    }
  });
  const afterPaint = new MessageChannel();
  let due = null;
  afterPaint.port1.onmessage = () => {
    if (!due) return;
    const now = performance.now();
    for (const at of due) probe.painted.push(now - at);
    if (due.length && probe.clickedAt && !probe.firstPaintAt) probe.firstPaintAt = now;
    due = null;
  };
  // The page has written: what had arrived by then is on the screen after the next paint.
  const observer = new MutationObserver((changes) => {
    if (!waiting.length || !changes.some(({ target }) => (target.nodeType === 1 ? target : target.parentElement)?.closest(".prose"))) return;
    const shown = waiting;
    waiting = [];
    const send = () => {
      due = [...(due ?? []), ...shown];
      afterPaint.port2.postMessage(0);
    };
    // Written in an animation frame: it is painted at the end of this very frame.
    if (inFrame) send();
    else nativeFrame(send);
  });
  document.addEventListener("DOMContentLoaded", () => {
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
    document.addEventListener("click", (event) => {
      if (!event.target.closest?.(".send")) return;
      Object.assign(probe, { clickedAt: event.timeStamp, firstPaintAt: 0 });
      waiting = [];
    }, true);
  });
  let last = 0;
  const frame = (now) => {
    if (last) probe.frames.push(now - last);
    last = now;
    nativeFrame(frame);
  };
  nativeFrame(frame);
  new MutationObserver(() => {
    if (document.documentElement?.dataset.ready && !probe.readyAt) probe.readyAt = performance.now();
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-ready"] });
  new PerformanceObserver((list) => {
    for (const { startTime } of list.getEntries()) probe.largestPaintAt = startTime;
  }).observe({ type: "largest-contentful-paint", buffered: true });
  new PerformanceObserver((list) => {
    // They are told late: one of before, as the benchmark's own look at the page, is none of these.
    for (const { startTime, duration, name } of list.getEntries()) {
      if (startTime >= probe.since) probe.tasks.push({ startTime: startTime - probe.since, duration, name });
    }
  }).observe({ type: "longtask", buffered: true });
})();
