// Looks at a page as people do who see it badly, hear it, or use no mouse. It knows nothing of our templates.
import { join } from 'node:path';

export async function inspect(page, name, shots) {
  const faults = await page.evaluate(structure);
  const size = page.viewportSize();
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    faults.push(...(await page.evaluate(contrast)).map((f) => `${scheme}: ${f}`));
    if (shots) await page.screenshot({ path: join(shots, `${name}-${scheme}.png`), fullPage: true, caret: 'initial' });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  for (const width of [320, 360]) {
    await page.setViewportSize({ width, height: 640 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > width) faults.push(`needs ${wide} of ${width} pixels`);
    if (shots && width === 360) await page.screenshot({ path: join(shots, `${name}-360.png`), fullPage: true, caret: 'initial' });
  }
  await page.setViewportSize(size);
  faults.push(...await names(page));
  if (faults.length > 0) throw new Error(`the page "${name}" is not right for everybody:\n  ${faults.join('\n  ')}`);
}

// names asks the browser's own accessibility tree what a screen reader would say.
async function names(page) {
  const session = await page.context().newCDPSession(page);
  try {
    const { nodes } = await session.send('Accessibility.getFullAXTree');
    const named = ['button', 'link', 'textbox', 'checkbox', 'combobox', 'image', 'navigation', 'region'];
    const faults = nodes.filter((n) => !n.ignored && named.includes(n.role?.value) && !n.name?.value?.trim()).map((n) => `${n.role.value} without a name`);
    return nodes.some((n) => n.role?.value === 'main') ? faults : [...faults, 'no main landmark'];
  } finally {
    await session.detach();
  }
}

// structure runs in the page.
function structure() {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  if (document.documentElement.lang !== 'en') faults.push('html has no lang');
  if (!/\S · Bulkhead$/.test(document.title)) faults.push(`title is "${document.title}"`);
  if (all('h1').length !== 1) faults.push(`${all('h1').length} h1`);
  let level = 0;
  for (const h of all('h1, h2, h3, h4, h5, h6')) {
    const next = Number(h.tagName[1]);
    if (next > level + 1) faults.push(`${h.tagName} after h${level}: ${h.innerText}`);
    level = next;
  }
  const ids = all('[id]').map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push(`id ${id} twice`);
  for (const attribute of ['aria-describedby', 'aria-labelledby', 'for']) {
    for (const e of all(`[${attribute}]`)) {
      for (const id of e.getAttribute(attribute).split(/\s+/)) {
        if (!document.getElementById(id)) faults.push(`${attribute} names ${id}, which is not there`);
      }
    }
  }
  for (const e of all('input:not([type=hidden]), select, textarea')) {
    if (e.labels.length === 0 && !e.ariaLabel) faults.push(`${e.tagName} ${e.name} has no label`);
    if (!e.autocomplete && ['text', 'password', 'email'].includes(e.type)) faults.push(`${e.name} says nothing of autocomplete`);
  }
  for (const e of all('img:not([alt])')) faults.push(`image without alt: ${e.src}`);
  for (const e of all('[tabindex]')) if (e.tabIndex > 0) faults.push('a positive tabindex');
  for (const e of all('[style], style, script')) {
    if (e.closest('.xterm') || (e.src && !e.text)) continue; // the terminal's own script makes them, as the policy lets it
    faults.push(`${e.tagName} has style or script within`);
  }
  for (const e of all('[onclick], [onload], [onsubmit]')) faults.push(`${e.tagName} has a handler`);
  const first = document.querySelector('a, button, input, select, summary');
  if (!first?.matches('a[href="#content"]') || !document.querySelector('main#content')) faults.push('no skip link at the start');
  for (const e of all('button, .button, input:not([type=hidden]), select, nav a, summary')) {
    const { width, height } = e.getBoundingClientRect();
    const label = e.closest('label')?.getBoundingClientRect(); // which is pressed as well
    if (Math.max(width, label?.width ?? 0) > 0 && Math.max(height, label?.height ?? 0) < 24) faults.push(`${e.tagName} ${e.innerText || e.name} is ${height} pixels high`);
  }
  if (document.querySelector('[aria-invalid=true]')) {
    if (!document.title.startsWith('Error: ')) faults.push('the title does not say that there is an error');
    for (const e of all('[aria-invalid=true]')) if (!e.getAttribute('aria-describedby')) faults.push(`${e.name} is wrong, but nothing says why`);
  }
  return faults;
}

// contrast runs in the page: WCAG 2.2, 1.4.3 for text and 1.4.11 for the edges of fields.
function contrast() {
  const faults = [];
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const parse = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), parse('Canvas'));
  };
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ visibilityProperty: true }) || element.closest('.hidden, option, .xterm-accessibility')) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    const got = ratio(over(parse(style.color), below), below);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    seen++;
    if (got < (large ? 3 : 4.5)) faults.push(`contrast ${got.toFixed(2)}: ${node.data.trim().slice(0, 40)}`);
  }
  if (seen === 0) faults.push('no text');
  for (const e of document.querySelectorAll('input:not([type=hidden]):not([type=checkbox]), select, button, .button')) {
    if (!e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const got = Math.max(ratio(parse(style.borderTopColor), ground(e.parentElement)), ratio(ground(e), ground(e.parentElement)));
    if (got < 3) faults.push(`edge ${got.toFixed(2)}: ${e.tagName} ${e.name || e.innerText}`);
  }
  return faults;
}
