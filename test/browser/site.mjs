// A web application of a device, under a host name of its own.
import { age, api, browser, enrolled, must, step, world } from './lib.mjs';

const device = 'plant-a/press-1';

// made makes an API key on its page, with which the person's command line opens tunnels.
async function made(tab) {
  await tab.go('/account/keys');
  await tab.fill('Name', 'command line');
  for (const scope of ['project.read', 'device.read', 'device.tunnel']) {
    const box = tab.page.locator(`input[name=scope][value="${scope}"]`);
    await box.evaluate((e) => { e.closest('details').open = true; });
    await box.check();
  }
  await tab.press('Make a key');
  await tab.heading('Your new API key');
  return tab.page.locator('.secret').innerText();
}

async function as(key, method, path, body) {
  const response = await fetch(`${world.api}/api/v1${path}`, {
    method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
  });
  const text = await response.text();
  must(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

// works waits until the application's page is there and its WebSocket has answered.
async function works(tab, url) {
  await tab.page.waitForURL(url).catch((e) => { throw new Error(`at ${tab.page.url()}: ${e.message}`); });
  await tab.page.locator('#socket', { hasText: 'answers: hello' }).waitFor();
}

// opened opens a tunnel to the application.
async function opened(key) {
  const asked = await as(key, 'POST', '/projects/plant-a/devices/press-1/tunnels', { target: world.application });
  const { entry_url, tunnel } = await as(key, 'POST', `/tunnels/${asked.id}/open`, {});
  return { id: asked.id, entry_url, url: tunnel.url };
}

async function admitted(tab) {
  await tab.heading('Open a web application');
  await tab.says('This server can read what is shown and typed');
}

// attack does from the page of an application what would reach its neighbour, or the ways in.
async function attack(tab, neighbour) {
  const got = await tab.page.evaluate(async (url) => {
    const visit = '__Host-bulkhead-visit';
    localStorage.setItem('mine', 'x');
    document.cookie = 'mine=x';
    for (const domain of ['', '; Domain=tunnel.localhost', '; Domain=localhost']) document.cookie = `${visit}=x; Path=/; Secure${domain}`;
    const socket = new WebSocket(`${url.replace('https', 'wss')}/ws`);
    const opens = new Promise((done) => { socket.onopen = () => done('opened'); socket.onerror = () => done('refused'); });
    const frame = document.createElement('iframe');
    const shown = new Promise((done) => { frame.onload = () => done(frame.contentDocument === null ? 'closed' : 'read'); });
    frame.src = `${url}/home`;
    document.body.append(frame);
    const script = await fetch(`${url}/home`, { credentials: 'include' }).then(() => 'read', () => 'refused');
    const worker = (path, options) => navigator.serviceWorker.register(path, options).then((r) => new URL(r.scope).pathname, () => 'refused');
    const workers = [await worker('/worker.js'), await worker('/folder/worker.js', { scope: '/' }), await worker('/folder/worker.js')];
    return { visit: document.cookie.includes(visit), socket: await opens, frame: await shown, script, workers };
  }, neighbour);
  const want = { visit: false, socket: 'refused', frame: 'closed', script: 'refused', workers: ['refused', 'refused', '/folder/'] };
  must(JSON.stringify(got) === JSON.stringify(want), `an attack: ${JSON.stringify(got)}`);
}

const forget = (tab, url) => tab.page.context().clearCookies({ domain: new URL(url).hostname });

await browser(async (tab) => {
  await tab.ready();
  const who = await enrolled(tab);
  await api('POST', '/api/v1/projects/plant-a/members', { principal: who.name });
  await api('POST', '/api/v1/grants', { principal: who.name, asset: `device:${device}`, flags: ['device.read', 'device.tunnel'] });
  const key = await made(tab);
  const { id, entry_url, url } = await opened(key);
  tab.guest = url;
  await tab.page.goto(entry_url);
  await works(tab, `${url}/home`);
  must(await tab.page.evaluate(() => document.cookie) === 'own=of-the-app', 'the page sees another cookie than its own');
  await forget(tab, url);
  await tab.page.goto(entry_url);
  await admitted(tab);
  step('the link of the command line leads to the application, once');

  await age(tab, who, 6);
  await tab.page.goto(`${url}/home?deep=1`);
  await admitted(tab);
  await tab.look('site');
  await tab.press('Open');
  await tab.heading('Confirm that it is you');
  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Confirm and continue');
  await works(tab, `${url}/home?deep=1`);
  step('its address asks for a fresh second factor, and leads to the page that was asked for');

  await tab.page.context().clearCookies();
  await tab.page.goto(url);
  await tab.heading('Log in');
  await tab.fill('Name or e-mail address', who.name);
  await tab.fill('Password', who.password);
  await tab.press('Log in');
  await tab.heading('Second factor');
  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Continue');
  await admitted(tab);
  await tab.press('Open');
  await works(tab, `${url}/home`);
  step('who is not logged in is led through the login, and follows the redirects of the application');

  await forget(tab, url);
  await tab.page.goto(`${url}/away`);
  await admitted(tab);
  await tab.press('Open');
  await tab.page.waitForURL(`${world.away}/`).catch((e) => { throw new Error(`at ${tab.page.url()}: ${e.message}`); });
  await tab.heading('Elsewhere');
  step('an application whose first page leads to another site is entered all the same');

  const other = await opened(key);
  tab.guest = [url, other.url];
  await tab.page.goto(other.entry_url);
  await works(tab, `${other.url}/home`);
  tab.refusals.push(403);
  await attack(tab, url);
  await tab.page.goto(other.entry_url); // a way in that nobody keeps: it was used, and leads on
  await works(tab, `${other.url}/home`);
  tab.refusals.pop();
  await as(key, 'DELETE', `/tunnels/${other.id}`);
  await tab.page.goto(`${url}/home`);
  await works(tab, `${url}/home`);
  must(await tab.page.evaluate(() => localStorage.length === 0 && !document.cookie.includes('mine')), 'what a neighbour keeps is here');
  step('an application reaches no neighbour below the same domain, and sees no way in');

  await tab.page.getByRole('button', { name: 'Send' }).click();
  await tab.page.getByText('sent: a word').waitFor();
  step('the application works: its scripts, forms and WebSockets');

  await browser(async (other) => {
    await other.ready();
    other.guest = url;
    await enrolled(other);
    await other.refused(404, async () => {
      await other.page.goto(url);
      await other.heading('Not found');
    });
  });
  step('nobody else enters, whoever they are');

  await works(tab, `${url}/send`);
  await as(key, 'DELETE', `/tunnels/${id}`);
  await tab.page.locator('#socket', { hasText: 'ended' }).waitFor();
  await tab.refused(404, async () => {
    await tab.page.goto(url);
    await tab.heading('No tunnel here');
    await tab.look('site-over');
  });
  step('it ends with its tunnel, and what is open with it');
});
