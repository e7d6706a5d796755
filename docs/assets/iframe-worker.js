// Browsers start no worker from a file on the disk: there, its script runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.onload = () => this.start(frame.contentWindow, new URL(url, document.baseURI).href);
      const add = () => document.body.append(frame);
      document.body ? add() : addEventListener("DOMContentLoaded", add);
    }

    start(inside, url) {
      const told = (target, data) => target.dispatchEvent(new MessageEvent("message", { data }));
      const load = (src) => new Promise((done, failed) => {
        const script = inside.document.createElement("script");
        Object.assign(script, { src, onload: done, onerror: failed });
        inside.document.head.append(script);
      });
      inside.postMessage = (data) => told(this, data);
      inside.importScripts = (...all) => all.reduce((last, src) => last.then(() => load(src)), Promise.resolve());
      load(url).then(() => {
        this.postMessage = (data) => told(inside, data);
        this.waiting.forEach(this.postMessage);
      });
    }

    postMessage(data) { this.waiting.push(data); }

    terminate() {}
  };
}
