// Without a mouse, and without scripts.
import { browser, enrolled, must, step } from './lib.mjs';

// stop is where the focus is, and whether one sees it.
const stop = (tab) => tab.page.evaluate(() => {
  const e = document.activeElement;
  const style = getComputedStyle(e);
  const { top, left } = e.getBoundingClientRect();
  return {
    name: (e.labels?.[0]?.innerText ?? e.innerText).trim(), outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    visible: top >= 0 && left >= 0, body: e === document.body,
  };
});

// walk goes through the page with the Tab key, from its start.
async function walk(tab) {
  const stops = [];
  await tab.page.evaluate(() => { document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0); });
  for (let i = 0; i < 80; i++) {
    await tab.page.keyboard.press('Tab');
    const at = await stop(tab);
    if (at.body) break;
    must(at.outlined && at.visible, `the focus on "${at.name}" is not seen`);
    stops.push(at.name);
  }
  return stops;
}

async function reach(tab, name) {
  for (let i = 0; i < 80; i++) {
    if ((await stop(tab)).name === name) return;
    await tab.page.keyboard.press('Tab');
  }
  throw new Error(`the Tab key does not reach "${name}"`);
}

await browser(async (tab) => {
  await tab.ready();
  const who = await enrolled(tab);
  await tab.press('Log out');

  await tab.go('/account');
  must((await stop(tab)).name === 'Name or e-mail address', 'the first field has not the focus');
  await tab.page.keyboard.type(who.name);
  await tab.page.keyboard.press('Tab');
  await tab.page.keyboard.type(who.password);
  await tab.page.keyboard.press('Enter');
  await tab.heading('Second factor');
  must((await stop(tab)).name === 'Six-digit code', 'the code has not the focus');
  await tab.page.keyboard.type(await who.totp.next());
  await tab.page.keyboard.press('Enter');
  await tab.at('/account', 'Account');
  step('one logs in by the keyboard alone');

  const stops = await walk(tab);
  const wanted = ['Skip to the content', 'Bulkhead', 'Overview', 'Terminals', 'Account', 'API keys', 'Log out', 'Set up again'];
  must(wanted.every((name, i) => stops[i] === name), `the order is ${stops.join(', ')}`);
  step('the focus is always seen, and goes from the top to the bottom');

  await tab.page.evaluate(() => document.activeElement.blur());
  await tab.go('/account');
  await tab.page.keyboard.press('Tab');
  await tab.page.keyboard.press('Enter');
  must(await tab.page.evaluate(() => document.activeElement.id) === 'content', 'the skip link leads nowhere');
  await tab.page.keyboard.press('Tab');
  must((await stop(tab)).name === 'Set up again', 'the skip link does not skip');
  step('the skip link skips');

  await reach(tab, 'Log out Chromium on Linux from 127.0.0.1').catch(() => reach(tab, 'Log out'));
  await tab.page.keyboard.press('Enter');
  await tab.heading('You are logged out');
  step('one logs out by the keyboard alone');
});

let who;
await browser(async (tab) => { who = await enrolled(tab); });
await browser(async (tab) => {
  await tab.logIn(who, '/account/keys');
  await tab.at('/account/keys', 'API keys');
  await tab.press('Log out');
  await tab.heading('You are logged out');
  step('all of it works where scripts are off');
}, { scripts: false });
