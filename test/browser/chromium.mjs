// The browser of all scripts: each connects to it and has a profile of its own there. Usage: chromium.mjs PROGRAM PIN...
// It prints where it is reached, and ends with its standard input.
import { chromium } from 'playwright-core';

const [executablePath, ...pins] = process.argv.slice(2);
const server = await chromium.launchServer({
  executablePath,
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', `--ignore-certificate-errors-spki-list=${pins.join(',')}`,
  ],
});
process.stdin.on('end', () => server.close());
process.stdin.resume();
console.log(server.wsEndpoint());
