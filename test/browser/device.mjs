// Approving a command line (RFC 8628).
import { age, browser, enrolled, must, step, world } from './lib.mjs';

async function ask(path, form) {
  const response = await fetch(world.api + path, { method: 'POST', body: new URLSearchParams({ client_id: 'bulkhead-cli', ...form }) });
  return { status: response.status, ...await response.json() };
}

const poll = (asked) => ask('/oauth/token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: asked.device_code });

// settled polls as slowly as the server wants.
async function settled(asked) {
  for (;;) {
    const answer = await poll(asked);
    if (!['slow_down', 'authorization_pending'].includes(answer.error)) return answer;
    await new Promise((done) => setTimeout(done, (asked.interval + 5) * 1000));
  }
}

await browser(async (tab) => {
  await tab.ready();
  const who = await enrolled(tab);
  await tab.press('Log out');
  const asked = await ask('/oauth/device_authorization', { host_name: 'workbench-3', client_version: 'bulkhead/1.2.3' });
  must(asked.user_code && asked.device_code, JSON.stringify(asked));
  await tab.logIn(who, `/device?code=${asked.user_code}`);
  await tab.at(`/device?code=${asked.user_code}`, 'Log in this command line?');
  await tab.says(asked.user_code);
  await tab.says('A computer that calls itself workbench-3, at the address 127.0.0.1');
  await tab.says('bulkhead/1.2.3');
  await tab.look('approve');
  step('who is asked to approve logs in first, and sees the code, where it comes from and what it gets');

  await tab.press('Approve');
  await tab.heading('Approved');
  await tab.look('approved');
  const token = await settled(asked);
  must(token.access_token, JSON.stringify({ ...token, access_token: undefined }));
  step('the command line is logged in');

  await tab.follow('Where you are logged in');
  await tab.says('command line');
  await tab.look('account-two');
  const whoami = async () => (await fetch(`${world.api}/api/v1/whoami`, { headers: { Authorization: `Bearer ${token.access_token}` } })).status;
  must(await whoami() === 200, `whoami: ${await whoami()}`);
  await tab.page.getByRole('button', { name: /^End / }).first().click();
  await tab.says('That login has ended.');
  for (let tries = 0; await whoami() !== 401; tries++) must(tries < 200, 'it is still logged in');
  step('and its login is ended on the account page');

  const second = await ask('/oauth/device_authorization', { host_name: 'workbench-3', client_version: 'bulkhead/1.2.3' });
  await tab.go('/device');
  await tab.look('device');
  await tab.refused(404, async () => {
    await tab.fill('Code', 'BBBB-BBBB');
    await tab.press('Continue');
    await tab.says('No login waits under this code');
    await tab.look('device-wrong');
  });
  step('a code that nobody was given is refused');

  await tab.fill('Code', second.user_code.toLowerCase().replace('-', ' '));
  await tab.press('Continue');
  await tab.press('Deny');
  await tab.says('The command line was not logged in.');
  must((await settled(second)).error === 'access_denied', 'a denied command line was logged in');
  step('a code is found however it is typed, and a denied command line is not logged in');

  const third = await ask('/oauth/device_authorization', { host_name: 'workbench-3', client_version: 'bulkhead/1.2.3' });
  await age(tab, who, 6);
  await tab.go(`/device?code=${third.user_code}`);
  await tab.press('Approve');
  await tab.heading('Confirm that it is you');
  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Confirm and continue');
  await tab.heading('Approved');
  must((await settled(third)).access_token, 'it was not logged in');
  step('an approval wants a code that was shown just now, and goes on');
});
