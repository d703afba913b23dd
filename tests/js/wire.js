// A WebSocket that a test opens, cuts and speaks into.

export class Wire {
  /** Those that were made since the test began. */
  static all = [];
  static CONNECTING = 0;
  static OPEN = 1;
  readyState = 0;
  sent = [];
  constructor(url) {
    this.url = url;
    Wire.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.cut(1000);
  }
  open() {
    this.readyState = 1;
    this.onopen();
  }
  cut(code = 1006) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose({ code });
  }
  say(event) {
    this.onmessage({ data: JSON.stringify(event) });
  }
}
