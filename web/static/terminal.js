// The terminal of the page /terminal/ID: xterm.js at this end of a WebSocket, a shell on a device at the other.
//
// What the device sends is not trusted: it may be in other hands. It is shown, and nothing else: it cannot write the
// clipboard, make links, name the window, or have an answer typed that has in it what it chose.
(() => {
  'use strict';

  const byId = (id) => document.getElementById(id);
  const screen = byId('screen');
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();

  // The page's policy takes style elements by their nonce, and no style attribute that is set as text. xterm.js makes both.
  function fitPolicy(nonce) {
    const create = document.createElement.bind(document);
    document.createElement = (name, options) => {
      const element = create(name, options);
      if (element instanceof HTMLStyleElement) element.nonce = nonce;
      return element;
    };
    const set = Element.prototype.setAttribute;
    Element.prototype.setAttribute = function setAttribute(name, text) {
      if (name === 'style' && this instanceof HTMLElement) this.style.cssText = text;
      else set.call(this, name, text);
    };
  }

  function theme() {
    const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
    const all = [...names, ...names.map((n) => `bright${n[0].toUpperCase()}${n.slice(1)}`)];
    const colours = value('--term-ansi').split(/\s+/);
    return {
      background: value('--term-ground'), foreground: value('--term-text'), cursor: value('--term-text'), cursorAccent: value('--term-ground'),
      selectionBackground: value('--term-select'), ...Object.fromEntries(all.map((name, i) => [name, colours[i]])),
    };
  }

  // quiet takes the sequences by which what is shown could do more than be shown.
  function quiet(terminal) {
    const nothing = () => true;
    // Titles, colours set and asked for, links, notifications, the clipboard, and what shells tell of themselves.
    for (const id of [0, 1, 2, 4, 7, 8, 9, 10, 11, 12, 52, 104, 110, 111, 112, 133, 633, 777, 1337]) terminal.parser.registerOscHandler(id, nothing);
    terminal.parser.registerDcsHandler({ intermediates: '$', final: 'q' }, nothing); // asks for settings
    terminal.parser.registerCsiHandler({ final: 't' }, nothing); // the window: its size and title
  }

  function start() {
    const terminal = new Terminal({
      allowProposedApi: false, cursorBlink: false, disableStdin: true, fontFamily: value('--mono'), fontSize: innerWidth < 480 ? 12 : 14,
      lineHeight: 1.15, // of 1, underscores would be cut off
      linkHandler: null, logLevel: 'off', minimumContrastRatio: 4.5, screenReaderMode: localStorage.getItem('terminal.reader') === 'on', scrollback: 5000,
      theme: theme(), windowOptions: {},
    });
    quiet(terminal);
    const fit = new FitAddon.FitAddon();
    terminal.loadAddon(fit);
    terminal.open(screen);
    terminal.textarea.setAttribute('aria-describedby', 'leave');
    terminal.textarea.setAttribute('autocomplete', 'off');
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { terminal.options.theme = theme(); });
    fit.fit();
    new ResizeObserver(() => requestAnimationFrame(() => fit.fit())).observe(screen);
    return terminal;
  }

  // Pasted text is text: keys and sequences that hide in it are left out, or it could end a bracketed paste by itself.
  function pasting(terminal) {
    screen.addEventListener('paste', (event) => {
      event.preventDefault();
      event.stopPropagation();
      const text = event.clipboardData?.getData('text/plain') ?? '';
      if (!terminal.options.disableStdin) terminal.paste(text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g, ''));
    }, true);
  }

  function keys(terminal) {
    terminal.attachCustomKeyEventHandler((event) => {
      if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return true;
      if (event.key === 'Enter') {
        if (event.type === 'keydown') byId('reader').focus();
        event.preventDefault();
        return false;
      }
      if (event.code === 'KeyC') {
        if (event.type === 'keydown' && terminal.hasSelection()) navigator.clipboard.writeText(terminal.getSelection()).catch(() => {});
        event.preventDefault();
        return false;
      }
      return true;
    });
  }

  function readerMode(terminal) {
    const button = byId('reader');
    const show = () => button.setAttribute('aria-pressed', String(terminal.options.screenReaderMode));
    button.addEventListener('click', () => {
      terminal.options.screenReaderMode = !terminal.options.screenReaderMode;
      localStorage.setItem('terminal.reader', terminal.options.screenReaderMode ? 'on' : 'off');
      show();
    });
    show();
  }

  // ahead is how many bytes may be under way to the shell, none of which it has taken yet.
  const ahead = 64 * 1024;
  const largest = 16 * 1024;

  // Line is the connection. What is typed waits here while the shell takes nothing.
  class Line {
    constructor(terminal) {
      this.terminal = terminal;
      this.waiting = [];
      this.under = 0; // bytes under way
      this.ended = false;
      const url = new URL(screen.dataset.socket, location.href);
      url.protocol = 'wss:';
      this.socket = new WebSocket(url, 'bulkhead.terminal.1');
      this.socket.binaryType = 'arraybuffer';
      this.socket.addEventListener('open', () => this.tell({ type: 'open', ticket: screen.dataset.ticket, cols: terminal.cols, rows: terminal.rows }));
      this.socket.addEventListener('message', (m) => this.hear(m.data));
      this.socket.addEventListener('close', () => this.over('The connection to the server is lost, and the shell with it.'));
      terminal.onData((text) => this.type(new TextEncoder().encode(text)));
      terminal.onBinary((text) => this.type(Uint8Array.from(text, (c) => c.charCodeAt(0))));
      terminal.onResize(({ cols, rows }) => this.tell({ type: 'size', cols, rows }));
    }

    tell(message) {
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    }

    type(bytes) {
      for (let i = 0; i < bytes.length; i += largest) this.waiting.push(bytes.subarray(i, i + largest));
      this.send();
    }

    send() {
      while (this.waiting.length > 0 && this.under + this.waiting[0].length <= ahead && this.socket.readyState === WebSocket.OPEN) {
        const bytes = this.waiting.shift();
        this.under += bytes.length;
        this.socket.send(bytes);
      }
    }

    hear(data) {
      if (typeof data !== 'string') {
        const bytes = new Uint8Array(data);
        this.terminal.write(bytes, () => this.tell({ type: 'took', bytes: bytes.length }));
        return;
      }
      const message = JSON.parse(data);
      if (message.type === 'took') {
        this.under -= message.bytes;
        this.send();
      } else if (message.type === 'open') {
        this.opened(message);
      } else if (message.type === 'end') {
        this.over(message.text);
      }
    }

    opened(message) {
      this.terminal.options.disableStdin = false;
      byId('state').textContent = '';
      byId('recorded').hidden = !message.recorded;
      byId('as').textContent = message.user ? `as ${message.user}` : '';
      this.until = performance.now() + message.left * 1000;
      this.clock = setInterval(() => this.count(), 1000);
      this.count();
      this.terminal.focus();
    }

    count() {
      const left = Math.max(0, Math.round((this.until - performance.now()) / 1000));
      const minutes = Math.ceil(left / 60);
      byId('left').textContent = left < 60 ? `${left} s left` : `${minutes} min left`;
      if (left <= 60 && !this.warned) {
        this.warned = true;
        byId('state').textContent = 'This terminal ends in less than a minute.';
      }
    }

    over(text) {
      if (this.ended) return;
      this.ended = true;
      clearInterval(this.clock);
      this.waiting = [];
      this.socket.close();
      const held = screen.contains(document.activeElement);
      this.terminal.write('', () => { // after what came before
        this.terminal.options.disableStdin = true;
        screen.classList.add('over');
        byId('left').textContent = '';
        byId('state').textContent = text;
        byId('end').hidden = true;
        byId('again').hidden = false;
        if (held) byId('again').focus();
      });
    }
  }

  fitPolicy(byId('sheet').nonce);
  const terminal = start();
  pasting(terminal);
  keys(terminal);
  readerMode(terminal);
  new Line(terminal);
})();
