// What needs a second factor that was shown just now asks for it, and then goes on with what was asked.
import { age, browser, enrolled, must, step, world } from './lib.mjs';

async function whoami(key) {
  const response = await fetch(`${world.api}/api/v1/whoami`, { headers: { Authorization: `Bearer ${key}` } });
  return response.status;
}

await browser(async (tab) => {
  await tab.ready();
  const who = await enrolled(tab);
  await tab.go('/account/keys');
  await tab.look('keys-none');
  await tab.fill('Name', 'made at once');
  await tab.page.getByLabel(/^See the project /).check();
  await tab.press('Make a key');
  await tab.heading('Your new API key');
  const first = await tab.page.locator('.secret').innerText();
  must(first.startsWith('bhk_') && await whoami(first) !== 401, 'the key does not work');
  await tab.look('key');
  step('just after logging in, a key is made without another code');

  await age(tab, who, 6);
  await tab.go('/account/keys');
  await tab.fill('Name', 'made later');
  await tab.page.getByLabel('Lives for').selectOption('7');
  await tab.page.getByLabel(/^See the project /).check();
  const before = (await tab.cookie()).value;
  await tab.press('Make a key');
  await tab.heading('Confirm that it is you');
  await tab.look('confirm');
  step('five minutes later it is asked for');

  await tab.refused(401, async () => {
    await tab.fill('Six-digit code', who.totp.wrong());
    await tab.press('Confirm and continue');
    await tab.says('The code is wrong');
    await tab.look('confirm-wrong');
  });
  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Confirm and continue');
  await tab.heading('Your new API key');
  const second = await tab.page.locator('.secret').innerText();
  must(second !== first && await whoami(second) !== 401, 'the key does not work');
  must((await tab.cookie()).value !== before, 'the session kept its id');
  step('the right code goes on with what was asked, under another id');

  await tab.follow('Done');
  await tab.says('made later');
  await tab.look('keys');
  await tab.press('Revoke made later');
  await tab.says('The key is revoked.');
  for (let tries = 0; await whoami(second) !== 401; tries++) must(tries < 200, 'the revoked key still opens');
  must(await whoami(first) !== 401, 'the other key was revoked too');
  step('a revoked key opens nothing');

  await age(tab, who, 6);
  await tab.go('/account');
  await tab.press('Set up again');
  await tab.heading('Confirm that it is you');
  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Confirm and continue');
  await tab.heading('Set up your second factor');
  await tab.scan();
  step('another second factor is set up only by who shows the present one');
});
