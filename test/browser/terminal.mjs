// A shell on a real agent, in the browser.
import { age, api, browser, enrolled, must, step, world } from './lib.mjs';

const device = 'plant-a/press-1';

// screen is what the terminal shows.
const screen = (tab) => tab.page.evaluate(() => document.querySelector('.xterm-rows').innerText.replaceAll('\u00a0', ' '));

// shows waits until it shows something. It does not look at each frame, which would keep a processor from what is waited for.
async function shows(tab, pattern) {
  const source = [pattern.source, pattern.flags];
  await tab.page.waitForFunction(([text, flags]) => new RegExp(text, flags).test(document.querySelector('.xterm-rows')?.innerText.replaceAll('\u00a0', ' ')), source, { polling: 50 })
    .catch(async (e) => { throw new Error(`${pattern} is not shown: ${e.message}\n${await screen(tab).catch(() => tab.page.url())}\n${await tab.page.locator('#state').innerText().catch(() => '')}`); });
}

const state = (tab, text) => tab.page.locator('#state', { hasText: text }).waitFor().catch(async () => {
  throw new Error(`not "${text}" but "${await tab.page.locator('#state').textContent()}"\n${await screen(tab)}`);
});

// run types a command. What it says is told from what is typed by a mark that is not typed.
async function run(tab, command, pattern) {
  await tab.page.keyboard.type(`${command}\n`, { delay: 1 });
  await shows(tab, pattern);
}

async function ask(tab, on = device, record = false) {
  await tab.go(`/terminal/${on}`);
  await tab.heading(`Terminal on ${on}`);
  if (record) await tab.page.getByLabel('Record what is shown').check();
  await tab.page.getByLabel('I know that this server can read it').check();
  await tab.press('Open the terminal');
}

// approve logs a command line in as another person, who approves a tunnel with it.
async function approve(id, on) {
  await browser(async (other) => {
    await other.ready();
    const who = await enrolled(other);
    await api('POST', '/api/v1/projects/plant-b/members', { principal: who.name });
    await grant(who, on);
    const token = async (path, form) => (await fetch(world.api + path, { method: 'POST', body: new URLSearchParams({ client_id: 'bulkhead-cli', ...form }) })).json();
    const asked = await token('/oauth/device_authorization', { host_name: 'workbench', client_version: 'bulkhead/1' });
    await other.go(`/device?code=${asked.user_code}`);
    await other.press('Approve');
    await other.heading('Approved');
    const { access_token } = await token('/oauth/token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: asked.device_code });
    const answer = await fetch(`${world.api}/api/v1/tunnels/${id}/approve`, { method: 'POST', headers: { Authorization: `Bearer ${access_token}` } });
    must(answer.ok, `approving: ${answer.status} ${await answer.text()}`);
  });
}

async function open(tab) {
  await ask(tab);
  await shows(tab, /[#$]\s*$/m);
  must(await tab.page.evaluate(() => document.activeElement.classList.contains('xterm-helper-textarea')), 'the terminal has not the focus');
}

const grant = (who, on) => api('POST', '/api/v1/grants', { principal: who.name, asset: `device:${on}`, flags: ['device.read', 'device.terminal'] });

await browser(async (tab) => {
  await tab.ready();
  const who = await enrolled(tab);
  await tab.go('/terminal');
  await tab.says('There is none.');
  await tab.refused(404, async () => {
    await tab.go(`/terminal/${device}`);
    await tab.heading('Not found');
  });
  for (const project of ['plant-a', 'plant-b']) await api('POST', `/api/v1/projects/${project}/members`, { principal: who.name });
  await grant(who, device);
  await tab.go('/terminal');
  await tab.look('terminals');
  await tab.follow(`Open a terminal on ${device}`);
  await tab.heading(`Terminal on ${device}`);
  await tab.says('as the device\'s policy says');
  await tab.look('terminal-ask');
  step('only who may open a shell on a device sees it there');

  await age(tab, who, 6);
  await tab.go(`/terminal/${device}`);
  await tab.fill('Reason', 'a look');
  await tab.page.getByLabel('I know that this server can read it').check();
  await tab.press('Open the terminal');
  await tab.heading('Confirm that it is you');
  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Confirm and continue');
  await tab.heading(device);
  await shows(tab, /[#$]\s*$/m);
  step('a second factor that is not fresh is asked for, and then the terminal opens');

  await run(tab, 'echo h$((1))i', /^h1i/m);
  await run(tab, "printf '\\303\\244\\342\\202\\254\\360\\237\\231\\202%s\\n' end", /^ä€🙂\s*end/m);
  const rows = () => tab.page.evaluate(() => document.querySelector('.xterm-rows').childElementCount);
  const before = await rows();
  await tab.page.setViewportSize({ width: 700, height: 500 });
  await tab.page.waitForFunction((old) => document.querySelector('.xterm-rows').childElementCount < old, before);
  const after = await rows();
  await run(tab, 'clear; while [ "$(stty size | cut -d" " -f1)" != ' + after + ' ]; do sleep 0.05; done; echo s$((1))ized', /^s1ized/m);
  await tab.page.setViewportSize({ width: 1000, height: 760 });
  step('what is typed runs, and the shell knows the size');

  const look = await tab.page.evaluate(() => {
    const row = document.querySelector('.xterm-rows > div');
    const style = getComputedStyle(row);
    const pen = document.createElement('canvas').getContext('2d');
    pen.font = `${style.fontSize} ${style.fontFamily}`;
    const ink = pen.measureText('_');
    const above = (row.clientHeight - ink.fontBoundingBoxAscent - ink.fontBoundingBoxDescent) / 2; // how CSS sets a line
    const ground = (e) => getComputedStyle(document.querySelector(e)).backgroundColor;
    return { high: row.clientHeight, needs: above + ink.fontBoundingBoxAscent + ink.actualBoundingBoxDescent, around: ground('.xterm-viewport'), screen: ground('#screen') };
  });
  must(look.high >= look.needs, `a line of ${look.high} pixels cuts off an underscore, which ends at ${look.needs}`);
  must(look.around === look.screen, `the terminal on ${look.screen} has a frame of ${look.around}`);
  step('letters are whole, and so is the ground');

  await run(tab, "sh -c 'echo c$((1))at; exec cat -v'", /^c1at/m); // who says something has the terminal, and its Ctrl-C
  await tab.page.evaluate(() => {
    const data = new DataTransfer();
    data.setData('text/plain', 'pa\u001b[201~sted\nli\u009bne\n');
    document.activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await shows(tab, /^pa\[201~sted\s*$/m);
  await shows(tab, /^line\s*$/m);
  await tab.page.keyboard.press('Control+c');
  await run(tab, "sh -c 'echo s$((1))eep; exec sleep 1000'", /^s1eep/m);
  await tab.page.keyboard.press('Control+c');
  await run(tab, 'echo b$((1))ack', /^b1ack/m);
  step('pasted text has no keys in it, and Ctrl-C interrupts');

  await run(tab, "clear; printf '\\033[38;2;200;30;30mr%sd\\033[0m \\033]52;c;aGFybQ==\\a\\033]8;;https://example.org/\\aa l%snk\\033]8;;\\a \\033]0;ti%stle\\a\\033]11;?\\a\\033P$qm\\033\\\\\\033[21t\\n' e i i; sleep 0.3; read -t 0.3 -n 200 x; echo \"got ${#x}\"", /^got 0/m);
  await shows(tab, /^red a link/m);
  const clipboard = await tab.page.evaluate(() => document.title);
  must(clipboard === `${device} · Bulkhead`, 'the device named the page');
  must(await tab.page.locator('.xterm-rows a, .xterm-underline-1').count() === 0, 'the device made a link');
  step('colours are shown, and nothing that the device sends does more than be shown');

  await run(tab, "clear; seq 1 30000; echo d$((1))one", /^d1one/m);
  await shows(tab, /^30000\s*$/m);
  await tab.look('terminal');
  step('much is shown without losing any');

  await tab.page.locator('.xterm-helper-textarea').focus();
  await run(tab, 'cat -T', /cat -T/);
  await tab.page.keyboard.press('Tab');
  await run(tab, 'x', /^\^Ix/m);
  await tab.page.keyboard.press('Control+c');
  await run(tab, 'echo o$((1))ut', /^o1ut/m);
  await tab.page.keyboard.press('Control+Shift+Enter');
  must(await tab.page.evaluate(() => document.activeElement.id) === 'reader', 'Ctrl+Shift+Enter does not leave the terminal');
  await tab.page.keyboard.press('Enter');
  await readerMode(tab);
  step('one leaves the terminal by the keyboard, and a screen reader can read it');

  await tab.page.locator('.xterm-helper-textarea').focus();
  await tab.page.keyboard.type('exit 3\n', { delay: 1 });
  await state(tab, 'The shell has ended with exit code 3.');
  await tab.page.waitForFunction(() => document.activeElement.id === 'again');
  await tab.look('terminal-ended');
  await tab.page.reload();
  await tab.heading('The terminal has ended');
  await tab.look('terminal-over');
  step('the exit code is shown, and a page is good for one terminal');

  const oven = 'plant-b/oven-1';
  await grant(who, oven);
  await api('PUT', '/api/v1/projects/plant-b/tunnel-policy', { approval: true });
  await ask(tab, oven);
  await tab.heading('Waiting for an approval');
  await tab.look('terminal-wait');
  await api('POST', `/api/v1/tunnels/${tab.path().split('/').at(-1)}/deny`); // a person approves, not the key of this test
  await tab.heading('The terminal has ended');
  await tab.says('The approval was denied.');
  step('a page that waits for an approval goes on by itself');

  await ask(tab, oven, true);
  await tab.heading('Waiting for an approval');
  const id = tab.path().split('/').at(-1);
  await approve(id, oven);
  await tab.heading(oven);
  await shows(tab, /[#$]\s*$/m);
  await run(tab, 'echo r$((1))ecorded', /^r1ecorded/m);
  await tab.page.keyboard.type('exit\n', { delay: 1 });
  await state(tab, 'The shell has ended.');
  const kept = (await api('GET', '/api/v1/projects/plant-b/recordings')).items.filter((r) => r.id === `${id}.1`);
  must(kept.length === 1 && kept[0].state === 'complete', `recorded: ${JSON.stringify(kept)}`);
  step('when another person approves, the page opens the shell, which is recorded as was asked');

  await open(tab);
  await api('POST', '/api/v1/grants/revoke', { principal: who.name, asset: `device:${device}`, flags: ['device.terminal'] });
  await state(tab, 'the right to it was taken');
  await grant(who, device);
  await open(tab);
  const left = await fetch(`${world.api}/logout`, {
    method: 'POST', redirect: 'manual', headers: { Origin: world.api, Cookie: `__Host-bulkhead=${(await tab.cookie()).value}` },
  });
  must(left.status < 400, `logging out: ${left.status}`);
  await state(tab, 'the login ended');
  step('it ends when the right is taken, and when one logs out elsewhere, and says why');
});

async function readerMode(tab) {
  await tab.page.locator('.xterm-accessibility').waitFor({ state: 'attached' });
  must(await tab.page.evaluate(() => document.getElementById('reader').getAttribute('aria-pressed')) === 'true', 'the button does not tell');
}
