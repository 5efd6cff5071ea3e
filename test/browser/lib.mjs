// What every script needs: a browser that tells of everything it should not do, steps, codes, and the checks of a page.
import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import jsQR from 'jsqr';
import { chromium } from 'playwright-core';
import { inspect } from './inspect.mjs';

export const world = JSON.parse(process.env.BULKHEAD_WORLD);

export function must(truth, text) {
  if (!truth) throw new Error(text);
}

export function step(text) {
  console.log(`step: ${text}`);
}

// browser opens a fresh profile and runs what is done with it; whatever the pages do beside it is a failure.
export async function browser(run, options = {}) {
  const connection = await chromium.connect(world.browser);
  const faults = [];
  try {
    const context = await connection.newContext({ viewport: { width: 1000, height: 760 }, javaScriptEnabled: options.scripts ?? true });
    const page = await context.newPage();
    const tab = new Tab(page, faults, options.guest);
    // What a guest's pages would load from anywhere else is not fetched.
    if (options.guest) await context.route((u) => ![world.api, options.guest].includes(u.origin) && u.protocol !== 'data:', (route) => route.abort());
    context.on('page', (other) => faults.push(`opened another page: ${other.url()}`));
    await run(tab, context);
  } catch (e) {
    throw faults.length === 0 ? e : new Error(`the browser complained:\n  ${faults.join('\n  ')}`, { cause: e });
  } finally {
    await connection.close(); // and with it the profile
  }
  must(faults.length === 0, `the browser complained:\n  ${faults.join('\n  ')}`);
}

class Tab {
  // guest is the origin of another site on whose pages the browser may be, or several; what those do is theirs.
  constructor(page, faults, guest) {
    this.page = page;
    this.guest = guest;
    this.faults = faults;
    this.refusals = []; // statuses of pages that a script expects
    page.setDefaultTimeout(60_000); // of a machine that is busy
    page.on('request', (r) => {
      const u = new URL(r.url());
      if (u.origin !== world.api && u.protocol !== 'data:' && !this.abroad(r.url()) && !this.abroad(page.url())) faults.push(`asked ${u.origin}`);
    });
    page.on('pageerror', (e) => faults.push(`error: ${e.message}`));
    page.on('console', (m) => {
      if (this.abroad(page.url()) || this.abroad(m.location().url)) return;
      const refused = /^Failed to load resource: the server responded with a status of (\d+)/.exec(m.text());
      if (refused && this.refusals.includes(Number(refused[1])) && m.location().url === page.url()) return;
      if (m.type() === 'error' || m.type() === 'warning') faults.push(`${m.type()} at ${m.location().url}: ${m.text()}`);
    });
    page.on('response', (r) => {
      if (r.status() >= 400 && !this.refusals.includes(r.status())) faults.push(`${r.status()} at ${r.url()}`);
    });
  }

  abroad(url) {
    return URL.canParse(url) && [this.guest].flat().includes(new URL(url).origin);
  }

  // ready tells a violation of the policy even where the console would not.
  async ready() {
    await this.page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
    });
  }

  async go(path) {
    await this.page.goto(world.api + path);
  }

  path() {
    const u = new URL(this.page.url());
    return u.pathname + u.search;
  }

  async at(path, heading) {
    await this.page.waitForURL(world.api + path);
    await this.heading(heading);
  }

  async heading(text) {
    const h1 = this.page.getByRole('heading', { level: 1, name: text, exact: true });
    await h1.waitFor();
  }

  async says(text) {
    await this.page.getByText(text, { exact: false }).first().waitFor();
  }

  async fill(label, value) {
    await this.page.getByLabel(label, { exact: true }).fill(value);
  }

  async press(name) {
    await this.page.getByRole('button', { name, exact: true }).click();
  }

  async follow(name) {
    await this.page.getByRole('link', { name, exact: true }).click();
  }

  // refused runs what ends on a page with the status.
  async refused(status, run) {
    this.refusals.push(status);
    try {
      await run();
    } finally {
      this.refusals.pop();
    }
  }

  // look checks the page as it is: names, headings, contrast in light and dark, and that it fits a narrow screen.
  async look(name) {
    await inspect(this.page, name, world.shots);
  }

  async cookie() {
    const all = await this.page.context().cookies(world.api);
    return all.find((c) => c.name === '__Host-bulkhead');
  }

  // logIn logs a person in with a password and a code.
  async logIn(person, path = '/') {
    await this.go(path);
    await this.fill('Name or e-mail address', person.name);
    await this.fill('Password', person.password);
    await this.press('Log in');
    await this.heading('Second factor');
    await this.fill('Six-digit code', await person.totp.next());
    await this.press('Continue');
  }

  // scan reads the QR code as a phone does: from its pixels.
  async scan() {
    const image = await this.page.getByRole('img', { name: /^QR code/ }).evaluate(async (element) => {
      await element.decode();
      const canvas = document.createElement('canvas');
      canvas.width = element.naturalWidth;
      canvas.height = element.naturalHeight;
      const context = canvas.getContext('2d');
      context.drawImage(element, 0, 0);
      const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
      return { data: new Uint8Array(data.buffer).toBase64(), width, height }; // numbers one by one take seconds
    });
    const found = jsQR(new Uint8ClampedArray(Buffer.from(image.data, 'base64')), image.width, image.height);
    must(found, 'the QR code cannot be read');
    return new URL(found.data);
  }
}

// Totp gives codes as an authenticator app does (RFC 6238), each later than the one before: a code works once.
export class Totp {
  // Of a secret that somebody else has used, the codes up to that time are gone.
  constructor(secret, usedUntil = 0) {
    this.key = base32(secret.replaceAll(' ', ''));
    this.last = Math.floor(usedUntil / 30_000);
  }

  code(counter) {
    const message = Buffer.alloc(8);
    message.writeBigUInt64BE(BigInt(counter));
    const sum = createHmac('sha1', this.key).update(message).digest();
    const at = sum[sum.length - 1] & 15;
    return String((sum.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
  }

  // next gives the oldest code that is accepted for long enough to type it on a slow machine.
  async next() {
    const now = (ahead = 0) => Math.floor((Date.now() + ahead) / 30_000);
    this.last = Math.max(this.last + 1, now(20_000) - 1);
    while (this.last > now() + 1) await pause(30_000 - (Date.now() % 30_000) + 50); // until the app shows it
    return this.code(this.last);
  }

  wrong() {
    const near = [-2, -1, 0, 1, 2, 3].map((d) => this.code(Math.floor(Date.now() / 30_000) + d));
    return ['000000', '111111', '222222', '333333', '444444', '555555', '666666'].find((c) => !near.includes(c));
  }
}

function base32(text) {
  let bits = '';
  for (const c of text) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0');
  return Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
}

// api asks the server with the first owner's key.
export async function api(method, path, body) {
  const response = await fetch(world.api + path, {
    method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${world.key}`, 'Content-Type': 'application/json' },
  });
  const text = await response.text();
  must(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

let made = 0;

// person makes a user with a password and no second factor.
export async function person() {
  const name = `${world.script}-${++made}`;
  const password = randomBytes(12).toString('base64');
  await api('POST', '/api/v1/users', { login: name, password });
  return { name, password };
}

// enrolled makes a user and sets up a second factor in the browser.
export async function enrolled(tab) {
  const who = await person();
  await tab.go('/login');
  await tab.fill('Name or e-mail address', who.name);
  await tab.fill('Password', who.password);
  await tab.press('Log in');
  await tab.heading('Set up your second factor');
  await tab.press('Show the QR code');
  who.totp = new Totp((await tab.scan()).searchParams.get('secret'));
  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Confirm');
  await tab.heading('Store your recovery codes');
  who.recovery = await tab.page.getByRole('list', { name: 'Recovery codes' }).getByRole('listitem').allInnerTexts();
  await tab.follow('I have stored them, continue');
  await tab.heading('Overview');
  return who;
}

// age makes it some minutes ago that somebody showed the second factor, and with which code, and waits until the server knows.
export async function age(tab, who, minutes) {
  const response = await fetch(`${world.control}/age?name=${encodeURIComponent(who.name)}&minutes=${minutes}`, { method: 'POST' });
  must(response.ok, `age: ${response.status} ${await response.text()}`);
  who.totp.last -= 2 * minutes;
  for (let tries = 0; ; tries++) {
    await tab.go('/account');
    if (await tab.page.getByText(/Last confirmed just now|Last confirmed a minute ago/).count() === 0) return;
    must(tries < 200, 'the server does not know that time has gone by');
  }
}
