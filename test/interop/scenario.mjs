// What the scripts of this folder share: settings from the environment, and steps that are reported one by one.
import assert from 'node:assert/strict';

export const settings = Object.fromEntries(
  ['url', 'realm', 'authid', 'secret', 'serializer', 'project', 'app'].map((name) => [name, process.env[`INTEROP_${name.toUpperCase()}`]]),
);

// A step that hangs must not hang the suite.
const stepTimeout = 10_000;

let failed = 0;

export async function check(name, step) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('timed out')), stepTimeout); });
  try {
    await Promise.race([step(), late]);
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}: ${error?.stack ?? JSON.stringify(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

export function equal(got, want, message) {
  assert.deepEqual(JSON.parse(JSON.stringify(got)), want, message);
}

export function finish() {
  process.exit(failed === 0 ? 0 : 1);
}
