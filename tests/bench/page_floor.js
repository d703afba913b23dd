// The same stream as the page gets, as plain text, appended once a frame and kept at its end.
([path, turnId, model]) => {
  const text = document.createTextNode("");
  document.querySelector(".prose").append(text);
  const scroller = document.querySelector(".scroll");
  const socket = new WebSocket(`ws://${location.host}/ws${path.replace("/c/", "/conversations/")}`);
  let [pending, isDue] = ["", false];
  const show = () => {
    isDue = false;
    text.appendData(pending);
    pending = "";
    scroller.scrollTop = scroller.scrollHeight;
  };
  const question = { type: "turn.create", turn_id: turnId, text: "At length", model };
  socket.onopen = () => socket.send(JSON.stringify(question));
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === "delta") {
      pending += event.text;
      if (!isDue) requestAnimationFrame(show);
      isDue = true;
    } else if (/^generation\.(completed|failed|interrupted)|refused|error/.test(event.type)) {
      document.documentElement.dataset.ended = event.type;
    }
  };
}
